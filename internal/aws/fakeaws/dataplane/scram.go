package dataplane

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// scramClient proves a password by SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.
type scramClient struct{ password, nonce string }

func newSCRAM(password string) *scramClient {
	return &scramClient{password, rand.Text()}
}

func (s *scramClient) bare() string { return "n=,r=" + s.nonce }

func (s *scramClient) first() string { return "n,," + s.bare() }

func (s *scramClient) final(challenge string) (string, error) {
	values := map[string]string{}
	for part := range strings.SplitSeq(challenge, ",") {
		name, value, _ := strings.Cut(part, "=")
		values[name] = value
	}
	salt, err := base64.StdEncoding.DecodeString(values["s"])
	count, err2 := strconv.Atoi(values["i"])
	if err := errors.Join(err, err2); err != nil {
		return "", err
	}
	if !strings.HasPrefix(values["r"], s.nonce) {
		return "", errors.New("the server behind answers another client")
	}
	salted, err := pbkdf2.Key(sha256.New, s.password, salt, count, sha256.Size)
	if err != nil {
		return "", err
	}
	keyed := func(key []byte, text string) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	client := keyed(salted, "Client Key")
	stored := sha256.Sum256(client)
	without := "c=biws,r=" + values["r"]
	proof := keyed(stored[:], s.bare()+","+challenge+","+without)
	for i := range proof {
		proof[i] ^= client[i]
	}
	return without + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}
