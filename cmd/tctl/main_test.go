package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"sallyport/internal/fault"
	"sallyport/internal/manual"
	"sallyport/internal/resource"
)

var update = flag.Bool("update", false, "write the manual instead of comparing it")

func TestManualIsWhatTheCommandsSay(t *testing.T) {
	t.Parallel()
	if err := manual.Check(newRoot(), "../../docs/cli/tctl.md", *update); err != nil {
		t.Error(err)
	}
}

func TestAMistypedFormatIsFoundBeforeAnythingIsDone(t *testing.T) {
	t.Parallel()
	found := 0
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, child := range cmd.Commands() {
			visit(child)
		}
		if cmd.Flags().Lookup("format") == nil {
			return
		}
		found++
		if err := cmd.Flags().Set("format", "jsno"); err != nil {
			t.Fatal(err)
		}
		if cmd.PreRunE == nil {
			t.Errorf("%s does not look at --format before it runs", cmd.CommandPath())
		} else if err := cmd.PreRunE(cmd, nil); !fault.Is(err, fault.BadParameter) || !strings.Contains(fault.Message(err), "jsno") {
			t.Errorf("%s --format=jsno: %v", cmd.CommandPath(), err)
		}
	}
	visit(newRoot())
	if found < 9 {
		t.Errorf("%d commands with --format were found, want at least 9", found)
	}
}

func TestAnUnknownKindIsAnsweredWithAllKinds(t *testing.T) {
	t.Parallel()
	_, err := parseReference("nothing")
	for _, kind := range resource.Kinds() {
		if !fault.Is(err, fault.BadParameter) || !strings.Contains(fault.Message(err), kind) {
			t.Errorf("%s is not named: %v", kind, err)
		}
	}
}

func TestFilesThatCannotBeMadeAreToldBeforeAnythingIsSigned(t *testing.T) {
	t.Parallel()
	root := newRoot()
	root.SetArgs([]string{"auth", "sign", "--user=alice", "--out=/dev/null/alice.pem", "--auth-server=localhost:1"})
	if err := root.Execute(); !fault.Is(err, fault.BadParameter) || fault.Message(err) != "/dev/null/alice.pem cannot be written: not a directory; choose another --out" {
		t.Error(err)
	}
}

func TestResourcesThatNobodyTypesAreWaitedForUntilTheCommandIsEnded(t *testing.T) {
	t.Parallel()
	typed, typist, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer typed.Close()
	defer typist.Close()
	ctx, end := context.WithCancel(t.Context())
	end()
	root := newRoot()
	root.SetIn(typed)
	root.SetArgs([]string{"create"})
	if err := root.ExecuteContext(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
