package store

import (
	"fmt"
	"strings"
)

// Check reports whether an item may be stored at all. Implementations call it before every write.
func Check(item Item) error {
	switch {
	case !strings.HasPrefix(item.Key, "/") || len(item.Key) > MaxKey:
		return fmt.Errorf("key %.40q does not begin with a slash or is longer than %d bytes", item.Key, MaxKey)
	case strings.ContainsRune(item.Key, 0):
		return fmt.Errorf("key %.40q holds a zero byte", item.Key)
	case len(item.Value) > MaxValue:
		return fmt.Errorf("value of %s has %d bytes, more than %d", item.Key, len(item.Value), MaxValue)
	}
	return nil
}
