package endpoint

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// schemes of the URIs under which databases in AWS are written.
var schemes = []string{"postgres", "postgresql", "mongodb", "mongodb+srv", "redis", "rediss", "https", "aws"}

const maxHost = 253 // RFC 1035, section 2.3.4, without the length bytes

// split returns the canonical host and the port, 0 if there is none. Whatever different parsers could
// read differently is refused rather than interpreted: user information, several hosts, escapes, a dot
// at the end, letters outside ASCII, signs and leading zeros of the port.
func split(address string) (host string, port uint16, err error) {
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		if !slices.Contains(schemes, strings.ToLower(scheme)) {
			return "", 0, fmt.Errorf("%q is not a scheme that databases in AWS have", scheme)
		}
		address = rest
		if end := strings.IndexAny(rest, "/?#"); end >= 0 {
			address = rest[:end]
		}
	}
	switch {
	case strings.Contains(address, "@"):
		return "", 0, errors.New("the address carries a user or password") // not quoted here
	case strings.Contains(address, ","):
		return "", 0, errors.New("the address names several hosts; write one endpoint, which leads to the others")
	}
	host, digits, hasPort := strings.Cut(address, ":")
	if hasPort {
		if port, err = parsePort(digits); err != nil {
			return "", 0, err
		}
	}
	host = lower(host)
	return host, port, checkHost(host)
}

func parsePort(digits string) (uint16, error) {
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != digits {
		return 0, fmt.Errorf("%q is not a port between 1 and 65535", digits)
	}
	return uint16(n), nil
}

// lower folds ASCII only: strings.ToLower turns the Kelvin sign into a k.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// checkHost accepts lower-case host names of letters, digits and hyphens (RFC 1123, section 2.1).
func checkHost(host string) error {
	switch {
	case host == "":
		return errors.New("the address names no host")
	case len(host) > maxHost:
		return fmt.Errorf("the address names a host longer than %d characters", maxHost)
	case strings.HasSuffix(host, "."):
		return fmt.Errorf("%q must be written without the dot at its end", host)
	}
	for label := range strings.SplitSeq(host, ".") {
		if !isLabel(label) {
			return fmt.Errorf("%q is not a host name of letters, digits and hyphens", host)
		}
		if strings.HasPrefix(label, "xn--") {
			return fmt.Errorf("%q contains an internationalised label", host)
		}
	}
	return nil
}

func isLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(label, func(r rune) bool { return r != '-' && !alphanumeric(r) })
}

func alphanumeric(r rune) bool { return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' }

// isHash reports whether a label can be one of the opaque parts that AWS puts into names.
func isHash(label string) bool {
	return label != "" && !strings.ContainsFunc(label, func(r rune) bool { return !alphanumeric(r) })
}

func isDigits(s string, n int) bool {
	return len(s) == n && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}
