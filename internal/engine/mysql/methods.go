package mysql

import (
	"crypto/sha1" // the protocol's choice, and under TLS
	"crypto/sha256"
	"crypto/subtle"

	"sallyport/internal/mysqlwire"
)

// initial reports whether a method may be the one that our first answer carries a proof for. A password that is
// sent as it is waits until the database asks for that.
func initial(method string) bool {
	return method == mysqlwire.NativePassword || method == mysqlwire.CachingSHA2
}

// proof returns what shows a database by the method that we have the password. Without a password that is nothing:
// the client certificate has to do.
func (l *login) proof(method string, nonce []byte) ([]byte, error) {
	password := l.up.Password
	if l.up.Token && initial(method) {
		password = "" // made for the service to read, and no secret to derive others from
	}
	switch {
	case method == mysqlwire.NativePassword && len(nonce) == mysqlwire.NonceSize:
		return nativeProof(password, nonce), nil
	case method == mysqlwire.CachingSHA2 && len(nonce) == mysqlwire.NonceSize:
		return cachingProof(password, nonce), nil
	case method == mysqlwire.Ed25519 && len(nonce) >= mysqlwire.NonceSize && password != "" && !l.up.Token:
		return ed25519Proof(password, nonce)
	case method == mysqlwire.ClearPassword && l.up.Token && password != "":
		l.proven = true
		return append([]byte(password), 0), nil
	default:
		return nil, l.refuseMethod(method)
	}
}

// nativeProof is SHA1(password) XOR SHA1(nonce, SHA1(SHA1(password))).
func nativeProof(password string, nonce []byte) []byte {
	if password == "" {
		return nil
	}
	first := sha1.Sum([]byte(password))
	second := sha1.Sum(first[:])
	mask := sha1.Sum(append(append([]byte(nil), nonce...), second[:]...))
	subtle.XORBytes(first[:], first[:], mask[:])
	return first[:]
}

// cachingProof is SHA256(password) XOR SHA256(SHA256(SHA256(password)), nonce).
func cachingProof(password string, nonce []byte) []byte {
	if password == "" {
		return nil
	}
	first := sha256.Sum256([]byte(password))
	second := sha256.Sum256(first[:])
	mask := sha256.Sum256(append(second[:], nonce...))
	subtle.XORBytes(first[:], first[:], mask[:])
	return first[:]
}
