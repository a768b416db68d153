package main

import (
	"flag"
	"testing"

	"sallyport/internal/manual"
)

var update = flag.Bool("update", false, "write the manual instead of comparing it")

func TestManualIsWhatTheCommandsSay(t *testing.T) {
	t.Parallel()
	if err := manual.Check(newRoot(), "../../docs/cli/tctl.md", *update); err != nil {
		t.Error(err)
	}
}
