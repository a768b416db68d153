package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/fault"
)

func TestWeakeningGODEBUGIsRefused(t *testing.T) {
	t.Parallel()
	for value, refused := range map[string]string{
		"": "", "gctrace=1": "", "netdns=go,madvdontneed=1": "", "tls10": "",
		"tls10server=1":           "tls10server",
		"gctrace=1, x509sha1=1":   "x509sha1",
		"http2debug=2":            "http2debug",
		"tlsrsakex=1#2,gctrace=1": "tlsrsakex",
	} {
		err := checkGODEBUG(value)
		if (err == nil) != (refused == "") || err != nil && !strings.Contains(fault.Message(err), "sets "+refused+",") {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// TestSettingsOfThisGoAreKnown looks at every setting that this version of Go has about TLS and certificates.
func TestSettingsOfThisGoAreKnown(t *testing.T) {
	t.Parallel()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "src/internal/godebugs/table.go"))
	if err != nil {
		t.Fatal(err)
	}
	harmless := []string{"tlsmlkem", "tlssecpmlkem", "x509keypairleaf", "x509sha256skid"} // they change how, not how well
	seen := 0
	for line := range strings.SplitSeq(string(table), "\n") {
		_, rest, ok := strings.Cut(line, "{Name: \"")
		name, _, _ := strings.Cut(rest, "\"")
		if !ok || !strings.HasPrefix(name, "tls") && !strings.HasPrefix(name, "x509") && !strings.HasPrefix(name, "rsa") {
			continue
		}
		seen++
		if checkGODEBUG(name+"=1") == nil && !slices.Contains(harmless, name) {
			t.Errorf("%s is neither refused nor called harmless", name)
		}
	}
	if seen < 10 {
		t.Errorf("the table has %d settings", seen)
	}
}
