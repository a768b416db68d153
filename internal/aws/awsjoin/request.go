// Package awsjoin checks what hosts of AWS show when they join: who signed a call of sts:GetCallerIdentity, and which
// instance an identity document of EC2 is about.
//
// The host never says what to send to STS. It hands over the parts that only it can make, the signature above all; each is
// parsed strictly, and the request is built here around them. What the host signed beyond that does not match what STS
// receives, and STS refuses it.
package awsjoin

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

const (
	// ChallengeSize is how long a challenge is, in bytes.
	ChallengeSize = 32
	// BindingHeader carries a Binding within the signature.
	BindingHeader = "X-Sallyport-Challenge"

	body        = "Action=GetCallerIdentity&Version=2011-06-15"
	contentType = "application/x-www-form-urlencoded; charset=utf-8"
	accept      = "application/json"
	maxToken    = 8 << 10 // AWS promises no length; today it is less than 2 KiB
)

// Application is what a proof is bound to, besides the challenge: whoever carries it cannot join as another host, for other
// services or with another key.
type Application struct {
	Token, HostID, NodeName string
	Roles                   []string
	PublicKey               []byte
}

// Binding returns what the signature must cover: the challenge and all of the application.
func Binding(challenge []byte, app Application) string {
	digest := sha256.New()
	write := func(part []byte) {
		_ = binary.Write(digest, binary.BigEndian, uint64(len(part))) // a hash takes everything
		digest.Write(part)
	}
	for _, part := range [][]byte{[]byte("sallyport.join.iam.v1"), challenge, []byte(app.Token), []byte(app.HostID), []byte(app.NodeName), app.PublicKey} {
		write(part)
	}
	for _, role := range app.Roles {
		write([]byte(role))
	}
	return base64.StdEncoding.EncodeToString(digest.Sum(nil))
}

// SignedRequest is what a host has signed, apart from what is the same for all.
type SignedRequest struct {
	Host                               string // of STS
	Authorization, Date, SecurityToken string // headers; the last is empty for keys of users
}

// NewRequest returns the call of GetCallerIdentity at a host of STS, without a signature. It is what hosts sign, and what
// STS is asked.
func NewRequest(host, binding string) *http.Request {
	req, err := http.NewRequest(http.MethodPost, "https://"+host+"/", strings.NewReader(body))
	if err != nil {
		panic(fmt.Sprintf("awsjoin: %q is not a host: %v", host, err)) // hosts come from a list
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set(BindingHeader, binding)
	return req
}

// BodyHash is the SHA-256 of the request's body, in hexadecimal.
func BodyHash() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(body))) }

// Refusal is why a proof is not accepted. It is for the log of the authority: the host is not told.
type Refusal struct{ why string }

func (r *Refusal) Error() string { return r.why }

func refuse(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

var (
	// authorization is the header in the one form in which the SDK writes it ("Create a signed AWS API request" in the IAM
	// user guide).
	authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=[A-Z0-9]{16,128}/([0-9]{8})/([a-z0-9-]{1,32})/sts/aws4_request, SignedHeaders=([a-z0-9;-]{1,256}), Signature=[0-9a-f]{64}$`)
	date          = regexp.MustCompile(`^([0-9]{8})T[0-9]{6}Z$`)
	// securityToken is opaque; it must only not end the header.
	securityToken = regexp.MustCompile(`^[!-~]*$`)
)

// request builds the call that STS is asked from what the host signed.
func (s SignedRequest) request(binding string) (*http.Request, place, error) {
	at, known := hosts[s.Host]
	auth, day := authorization.FindStringSubmatch(s.Authorization), date.FindStringSubmatch(s.Date)
	signed := "accept;content-length;content-type;host;x-amz-date;x-sallyport-challenge"
	if s.SecurityToken != "" {
		signed = "accept;content-length;content-type;host;x-amz-date;x-amz-security-token;x-sallyport-challenge"
	}
	switch {
	case !known:
		return nil, place{}, refuse("%.80q is not a host of STS", s.Host)
	case auth == nil:
		return nil, place{}, refuse("the Authorization header is not one of a signed call of STS")
	case day == nil || day[1] != auth[1]:
		return nil, place{}, refuse("the date %.32q is not that of the signature", s.Date)
	case auth[2] != at.region:
		return nil, place{}, refuse("the signature is for region %s and the host %s in %s", auth[2], s.Host, at.region)
	case auth[3] != signed:
		return nil, place{}, refuse("the signature covers the headers %s and must cover %s", auth[3], signed)
	case len(s.SecurityToken) > maxToken || !securityToken.MatchString(s.SecurityToken):
		return nil, place{}, refuse("the security token is not one")
	}
	req := NewRequest(s.Host, binding)
	req.Header.Set("Authorization", s.Authorization)
	req.Header.Set("X-Amz-Date", s.Date)
	if s.SecurityToken != "" {
		req.Header.Set("X-Amz-Security-Token", s.SecurityToken)
	}
	req.Header.Set("User-Agent", "sallyport")
	return req, at, nil
}
