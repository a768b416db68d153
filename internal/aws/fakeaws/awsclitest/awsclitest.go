// Package awsclitest runs Debian's AWS command line against the local AWS: a client with service models of its own, which
// reads answers more strictly than the SDK for Go.
package awsclitest

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// driver runs commands, given as a JSON list of lists of arguments, in one process: starting Python takes most of the
// time of a call.
const driver = `
import contextlib, io, json, sys
from awscli.clidriver import create_clidriver
results = []
for args in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = create_clidriver().main(args)
        except SystemExit as e:
            code = e.code
    results.append({'Code': code, 'Out': out.getvalue(), 'Err': err.getvalue()})
json.dump(results, sys.stdout)
`

// Command is a command line without "aws" and what must come of it.
type Command struct {
	Line string // split at white space: JSON arguments have none
	Want string // part of the output; "" means no output at all
	Fail bool   // Want is part of the error message instead
}

// Works is a command that must succeed.
func Works(line, want string) Command { return Command{Line: line, Want: want} }

// Fails is a command that must fail.
func Fails(line, want string) Command { return Command{Line: line, Want: want, Fail: true} }

// Client says how commands are run.
type Client struct {
	URL, Region                                string
	AccessKeyID, SecretAccessKey, SessionToken string
}

// Run runs commands one after the other and compares.
func (c Client) Run(t *testing.T, commands []Command) {
	t.Helper()
	var all [][]string
	for _, command := range commands {
		all = append(all, append([]string{"--endpoint-url", c.URL, "--region", c.Region, "--output", "text", "--no-cli-pager"}, strings.Fields(command.Line)...))
	}
	input, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	process := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", driver)
	process.Env = []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin", "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true", "LC_ALL=C.UTF-8",
		"AWS_ACCESS_KEY_ID=" + c.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + c.SecretAccessKey}
	if c.SessionToken != "" {
		process.Env = append(process.Env, "AWS_SESSION_TOKEN="+c.SessionToken)
	}
	var stderr bytes.Buffer
	process.Stdin, process.Stderr = bytes.NewReader(input), &stderr
	output, err := process.Output()
	if err != nil {
		t.Fatalf("running the AWS command line: %v: %s", err, stderr.Bytes())
	}
	var results []struct {
		Code     int
		Out, Err string
	}
	if err := json.Unmarshal(output, &results); err != nil || len(results) != len(commands) {
		t.Fatalf("%v in %q", err, output)
	}
	for i, want := range commands {
		got := results[i]
		text := got.Out
		if want.Fail {
			text = got.Err
		}
		if (got.Code != 0) != want.Fail || want.Want == "" && text != "" || !strings.Contains(text, want.Want) {
			t.Errorf("aws %s: exit code %d, %q, %q; want %q", want.Line, got.Code, got.Out, got.Err, want.Want)
		}
	}
}
