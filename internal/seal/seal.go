// Package seal encrypts secrets before they are stored, bound to the place where they are stored: a
// sealed value copied to another key does not open.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sallyport/internal/durable"
)

const (
	keySize = 32
	version = 1 // first byte of every sealed value: AES-256-GCM under the root key
)

// ErrOpen means that a sealed value was changed, moved, or sealed under another key.
var ErrOpen = errors.New("sealed value does not open: wrong root key, or the value was changed or moved")

// Sealer seals and opens values under one root key. Safe for concurrent use.
type Sealer struct{ aead cipher.AEAD }

// New returns a sealer for a root key of 32 bytes.
func New(key []byte) (*Sealer, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("root key has %d bytes, not %d", len(key), keySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("preparing root key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("preparing root key: %w", err)
	}
	return &Sealer{aead}, nil
}

// Open reads the root key from a file (base64, mode 0600), making file and key when there is none and it
// may: another key than the one that sealed the values opens none of them. Created says that it did.
func Open(path string, mayMake bool) (s *Sealer, created bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !mayMake {
		return nil, false, fmt.Errorf("the key %s is missing, with which the store is sealed; put it back from a backup", path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		key := make([]byte, keySize)
		if _, err := rand.Read(key); err != nil {
			return nil, false, fmt.Errorf("making root key: %w", err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, false, fmt.Errorf("making directory of root key: %w", err)
		}
		if err := durable.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
			return nil, false, fmt.Errorf("writing root key: %w", err)
		}
		s, err = New(key)
		return s, true, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading root key: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, false, fmt.Errorf("reading root key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, false, fmt.Errorf("root key %s may be read by others: run chmod 600 on it", path)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(data)))
	if err != nil {
		return nil, false, fmt.Errorf("root key %s is not base64: restore it from a backup", path)
	}
	s, err = New(key)
	return s, false, err
}

// Seal encrypts a value for the place where it will be stored.
func (s *Sealer) Seal(place string, plain []byte) ([]byte, error) {
	nonce := make([]byte, 1+s.aead.NonceSize(), 1+s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	nonce[0] = version
	if _, err := rand.Read(nonce[1:]); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return s.aead.Seal(nonce, nonce[1:], plain, []byte(place)), nil
}

// Unseal decrypts a value that was sealed for the place.
func (s *Sealer) Unseal(place string, sealed []byte) ([]byte, error) {
	size := 1 + s.aead.NonceSize()
	if len(sealed) < size || sealed[0] != version {
		return nil, ErrOpen
	}
	plain, err := s.aead.Open(nil, sealed[1:size], sealed[size:], []byte(place))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}
