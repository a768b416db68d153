package mysql

import (
	"crypto/sha512"

	"filippo.io/edwards25519"
)

// ed25519Proof signs a nonce as MariaDB's client_ed25519 does: by Ed25519, whose private key is the password itself in
// place of a seed of 32 bytes (MariaDB Knowledge Base, "Connection: client_ed25519 plugin").
func ed25519Proof(password string, nonce []byte) ([]byte, error) {
	digest := sha512.Sum512([]byte(password))
	secret, err := edwards25519.NewScalar().SetBytesWithClamping(digest[:32])
	if err != nil {
		return nil, err
	}
	public := new(edwards25519.Point).ScalarBaseMult(secret).Bytes()

	random, err := hashToScalar(digest[32:], nonce)
	if err != nil {
		return nil, err
	}
	commitment := new(edwards25519.Point).ScalarBaseMult(random).Bytes()
	challenge, err := hashToScalar(commitment, public, nonce)
	if err != nil {
		return nil, err
	}
	answer := edwards25519.NewScalar().MultiplyAdd(challenge, secret, random)
	return append(commitment, answer.Bytes()...), nil
}

func hashToScalar(parts ...[]byte) (*edwards25519.Scalar, error) {
	h := sha512.New()
	for _, part := range parts {
		h.Write(part)
	}
	return edwards25519.NewScalar().SetUniformBytes(h.Sum(nil))
}
