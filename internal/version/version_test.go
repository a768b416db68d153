package version_test

import (
	"regexp"
	"runtime"
	"strings"
	"testing"

	"sallyport/internal/version"
)

func TestStringHasNameReleaseRevisionAndRuntime(t *testing.T) {
	t.Parallel()
	line := version.String()
	if !regexp.MustCompile(`^Sallyport v\d+\.\d+\.\d+ git:[0-9a-f]*(-dirty)? go\S+`).MatchString(line) {
		t.Errorf("version line is %q", line)
	}
	if !strings.HasSuffix(line, runtime.Version()) || strings.Contains(line, "\n") {
		t.Errorf("version line is %q, want one line that ends in %s", line, runtime.Version())
	}
}
