package cancelkey_test

import (
	"testing"

	"sallyport/internal/cancelkey"
)

func TestRecentRequests(t *testing.T) {
	t.Parallel()
	for rule, c := range map[string]struct {
		shown []byte // requests, by their first byte; 0 is none
		again []bool
	}{
		"one twice":                          {[]byte{1, 1}, []bool{false, true}},
		"two in turn, by way of two proxies": {[]byte{1, 2, 1, 2}, []bool{false, false, true, true}},
		"two, in another order":              {[]byte{1, 2, 2, 1}, []bool{false, false, true, true}},
		"three proxies":                      {[]byte{1, 2, 1, 2, 1, 2}, []bool{false, false, true, true, true, true}},
		"without an id":                      {[]byte{0, 0}, []bool{false, false}},
		"all that are remembered":            {[]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 1}, []bool{16: true}},
		"and no more":                        {[]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 1}, make([]bool, 18)},
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			var recent cancelkey.Recent
			for i, id := range c.shown {
				if got := recent.Seen(cancelkey.ID{id}); got != c.again[i] {
					t.Errorf("request %d came before: %t", i+1, got)
				}
			}
		})
	}
}
