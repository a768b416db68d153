package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/terminal"
)

// call runs a command and returns its exit code with what it says.
func call(arguments ...string) (code int, out, told string) {
	root := newRoot()
	var stdout, stderr bytes.Buffer
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs(arguments)
	code = terminal.Exit(root, root.Execute())
	return code, stdout.String(), stderr.String()
}

// TestPlacesThatCannotBeReadAreTold has a file where the folder of logins should be, whose content also nobody else can see.
func TestPlacesThatCannotBeReadAreTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	logins := "the logins in " + file + "/home cannot be read: not a directory; set TELEPORT_HOME to a folder of your own"
	t.Setenv("TELEPORT_HOME", file+"/home")
	for line, want := range map[string]string{
		"status":                             logins,
		"logout":                             logins,
		"db ls":                              logins,
		"db connect orders":                  logins,
		"login --proxy=localhost:1 --user=a": logins,
		"-i / --proxy=localhost:1 db ls":     "identity file / cannot be read: is a directory",
		"play " + file + "/x":                file + "/x cannot be read: not a directory",
		"play " + filepath.Dir(file) + "/no.json": "there is no file " + filepath.Dir(file) + "/no.json; give the sid of a session, or a file that tsh play --format=json has written",
	} {
		if code, out, told := call(strings.Fields(line)...); code != 1 || told != "ERROR: "+want+"\n\n" || out != "" {
			t.Errorf("tsh %s: exit code %d, %q and %q, want %q", line, code, out, told, want)
		}
	}
	t.Setenv("TELEPORT_HOME", filepath.Dir(file)+"/none")
	if code, out, told := call("logout"); code != 0 || out != "Nobody was logged in.\n" || told != "" {
		t.Errorf("without logins: exit code %d, %q and %q", code, out, told)
	}
}
