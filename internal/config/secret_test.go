package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/fault"
)

func TestReadSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, empty := filepath.Join(dir, "token"), filepath.Join(dir, "empty")
	if err := errors.Join(os.WriteFile(file, []byte("  s3cret \n"), 0o600), os.WriteFile(empty, []byte("\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"s3cret", " s3cret\n", file} {
		if got, err := config.ReadSecret(value); err != nil || got != "s3cret" {
			t.Errorf("%q gives %q, %v", value, got, err)
		}
	}
	for _, path := range []string{filepath.Join(dir, "none"), empty, dir} {
		if _, err := config.ReadSecret(path); err == nil || !strings.Contains(fault.Message(err), path) {
			t.Errorf("%s: error is %v, want one that names the file", path, err)
		}
	}
}

func TestReadPins(t *testing.T) {
	t.Parallel()
	const one = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	const two = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
	dir := t.TempDir()
	file, bad := filepath.Join(dir, "pins"), filepath.Join(dir, "bad")
	if err := errors.Join(os.WriteFile(file, []byte(two+"\n"), 0o600), os.WriteFile(bad, []byte("sha1:00"), 0o600)); err != nil {
		t.Fatal(err)
	}
	pins, err := config.ReadPins([]string{strings.ToUpper(one[:7]) + one[7:], file})
	if err != nil || !reflect.DeepEqual(pins, []string{one, two}) {
		t.Errorf("pins are %v, %v", pins, err)
	}
	for _, entry := range []string{bad, filepath.Join(dir, "none"), "sha256:short"} {
		if _, err := config.ReadPins([]string{entry}); err == nil || !strings.Contains(fault.Message(err), entry) {
			t.Errorf("%s: error is %v, want one that names it", entry, err)
		}
	}
}
