package engine

import (
	"context"
	"errors"
	"regexp"

	"sallyport/internal/fault"
)

// Unreadable reports whether an error, at a message of the client, is a decoder's: the relay of that context goes on, and the error
// is none in words, as those of recording and of limits are.
func Unreadable(ctx context.Context, err error) bool {
	_, inWords := errors.AsType[*fault.Error](err)
	return ctx.Err() == nil && !inWords
}

// UpToSecrets returns what may be recorded of bytes that cannot be read: they end with the first name behind which a secret may
// be, because where it ends cannot be known.
func UpToSecrets(data []byte, names *regexp.Regexp) []byte {
	if at := names.FindIndex(data); at != nil {
		return data[:at[1]]
	}
	return data
}
