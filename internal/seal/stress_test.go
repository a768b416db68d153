package seal_test

import (
	"bytes"
	"crypto/rand"
	"testing"

	"sallyport/internal/seal"
)

func TestEveryValueOpensAgain(t *testing.T) {
	t.Parallel()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	s, err := seal.New(key)
	if err != nil {
		t.Fatal(err)
	}
	for size := range 3000 {
		plain := make([]byte, size)
		_, _ = rand.Read(plain)
		sealed, err := s.Seal("/place", plain)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Unseal("/place", sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("size %d: %v", size, err)
		}
	}
}
