package engine

import "regexp"

// UpToSecrets returns what may be recorded of bytes that cannot be read: they end with the first name behind which a secret may
// be, because where it ends cannot be known.
func UpToSecrets(data []byte, names *regexp.Regexp) []byte {
	if at := names.FindIndex(data); at != nil {
		return data[:at[1]]
	}
	return data
}
