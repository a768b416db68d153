package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/fault"
)

func TestOptionFilesKeepNames(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	profile := &client.Profile{Cluster: "demo.local"}
	for _, name := range []string{
		"alice", `al"ice#1 \x`, `a'b`, "a b", "#a", "a #b", "a#b", ";a", "a;b", `"a"`, `'a'`, `a"`, `"a`, `'a`, `a'`, `a\`, `\a`, `a\\`, `a\n`,
		`a\sb`, ` a`, "a ", "\ta", "a\tb", "\fa", "a=b", "=a", "é", `"`, `'`, `""`, `''`, `a'b"c`, `a'b"c#d`, `a' #b"c`, `'a' #b`, `"a" 'b' #c`,
		`"a" "b"`, `\"`, `\" #`, `\'#`, "[x]", "a]", "$a", "!include /none", "  ", "a\x01b", "\u2028", strings.Repeat("x", 3900) + `"#`,
	} {
		if err := writeOptionSection(profile, "orders", endpoint{host: "h", port: "1", user: name, database: "z" + name}); err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		file, err := optionFile()
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("my_print_defaults", "--defaults-file="+file, "client_demo.local-orders").Output()
		if want := "--user=" + name + "\n--database=z" + name + "\n"; err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%q is read as %q, %v", name, out, err)
		}
	}
}

func TestOptionFilesGetNoNameThatIsReadDifferently(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for name, want := range map[string]string{
		"a\nssl-mode=DISABLED":    "a database user or name with a line break cannot be kept in ~/.my.cnf",
		"a\rb":                    "a database user or name with a line break cannot be kept in ~/.my.cnf",
		strings.Repeat("x", 4000): "the user is too long for ~/.my.cnf, whose lines have at most 4000 bytes",
	} {
		err := writeOptionSection(&client.Profile{Cluster: "demo.local"}, "orders", endpoint{host: "h", port: "1", user: name})
		if fault.Message(err) != want {
			t.Errorf("%.20q: %v", name, err)
		}
	}
	if written, _ := filepath.Glob(home + "/.my.cnf"); written != nil {
		t.Error("it was written all the same")
	}
}
