// Package sigv4 checks AWS Signature Version 4, in the Authorization header and in presigned URLs, from the published
// description alone.
//
// Source: "Signature Version 4 signing process" and "Create a signed AWS API request" in the AWS General Reference.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Algorithm is the only algorithm that is accepted.
const Algorithm = "AWS4-HMAC-SHA256"

// TimeFormat is how X-Amz-Date writes a time, in UTC.
const TimeFormat = "20060102T150405Z"

// EmptyHash is the SHA-256 of no bytes, in hex.
const EmptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// Scope is a credential: whose key signed, for which day, region and service.
type Scope struct {
	AccessKey, Date, Region, Service string
}

// ParseScope takes KEY/DATE/REGION/SERVICE/aws4_request apart.
func ParseScope(s string) (Scope, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 5 || parts[4] != "aws4_request" {
		return Scope{}, fmt.Errorf("credential must have the form KEY/DATE/REGION/SERVICE/aws4_request, got %q", s)
	}
	for _, part := range parts {
		if part == "" {
			return Scope{}, fmt.Errorf("credential has an empty part: %q", s)
		}
	}
	if _, err := time.Parse("20060102", parts[1]); err != nil {
		return Scope{}, fmt.Errorf("credential has no date of the form YYYYMMDD: %q", s)
	}
	return Scope{AccessKey: parts[0], Date: parts[1], Region: parts[2], Service: parts[3]}, nil
}

// String is the scope as it stands in the string to sign, without the key.
func (s Scope) String() string {
	return s.Date + "/" + s.Region + "/" + s.Service + "/aws4_request"
}

// StringToSign binds a canonical request to a time and a scope.
func StringToSign(amzDate string, scope Scope, canonicalRequest string) string {
	return strings.Join([]string{Algorithm, amzDate, scope.String(), HashHex([]byte(canonicalRequest))}, "\n")
}

// Sign gives the hex signature of a string to sign.
func Sign(secret string, scope Scope, stringToSign string) string {
	key := []byte("AWS4" + secret)
	for _, part := range []string{scope.Date, scope.Region, scope.Service, "aws4_request"} {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, stringToSign))
}

// HashHex is the SHA-256 of b in lower-case hex.
func HashHex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
