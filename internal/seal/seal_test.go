package seal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/seal"
)

func TestSealedValueOpensOnlyWhereItBelongs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys", "root.key")
	s, created, err := seal.Open(path, true)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	sealed, err := s.Seal("/ca/user", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("secret")) {
		t.Fatal("sealed value shows the secret")
	}
	again, created, err := seal.Open(path, true)
	if err != nil || created {
		t.Fatalf("created %v, %v", created, err)
	}
	plain, err := again.Unseal("/ca/user", sealed)
	if err != nil || string(plain) != "secret" {
		t.Fatalf("got %q, %v", plain, err)
	}
	if _, err := again.Unseal("/ca/host", sealed); !errors.Is(err, seal.ErrOpen) {
		t.Fatalf("moved value: %v", err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := again.Unseal("/ca/user", changed); !errors.Is(err, seal.ErrOpen) {
			t.Fatalf("value changed at byte %d: %v", i, err)
		}
	}
	if _, err := again.Unseal("/ca/user", sealed[:5]); !errors.Is(err, seal.ErrOpen) {
		t.Fatalf("cut value: %v", err)
	}
}

func TestALostRootKeyIsNotReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "root.key")
	_, created, err := seal.Open(path, false)
	if err == nil || created || !strings.Contains(err.Error(), path+" is missing") {
		t.Fatalf("created %v, %v", created, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a key was made: %v", err)
	}
	if _, created, err = seal.Open(path, true); err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	if _, created, err = seal.Open(path, false); err != nil || created {
		t.Fatalf("created %v, %v", created, err)
	}
}

func TestRootKeyMustBePrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "root.key")
	if _, _, err := seal.Open(path, true); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, _, err := seal.Open(path, true); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Fatalf("got %v", err)
	}
}
