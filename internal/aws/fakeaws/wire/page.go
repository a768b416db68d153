package wire

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// FirstPageToken is a token that leads to the first page.
var FirstPageToken = pageToken(0)

func pageToken(from int) string {
	return base64.RawURLEncoding.EncodeToString([]byte("from:" + strconv.Itoa(from)))
}

// Page cuts one page out of all. The token is the one of the request ("" for the first page); next is "" on the last page.
// An unknown token is an error with the given code.
func Page[T any](all []T, size int, token, badTokenCode string) (page []T, next string, err error) {
	from := 0
	if token != "" {
		text, err := base64.RawURLEncoding.DecodeString(token)
		number, found := strings.CutPrefix(string(text), "from:")
		if err == nil && found {
			from, err = strconv.Atoi(number)
		}
		if err != nil || !found || from < 0 || from > len(all) {
			return nil, "", Errorf(badTokenCode, "The token for the next page is not valid.")
		}
	}
	to := min(from+max(size, 1), len(all))
	if to < len(all) {
		next = pageToken(to)
	}
	return all[from:to], next, nil
}

// Optional is s, or nil (left out of the answer) when it is empty.
func Optional(s string) any {
	if s == "" {
		return nil
	}
	return s
}
