package terminal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

// TestMain lets errors be told as to anybody, without their details.
func TestMain(m *testing.M) {
	if err := os.Unsetenv("TELEPORT_DEBUG"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestTableHasHeaderDashesAndASpaceAfterEachColumn(t *testing.T) {
	t.Parallel()
	table := terminal.Table{Header: []string{"Name", "URI"}, Rows: [][]string{{"orders", "h:1"}, {"é"}, {"a\nb", "x\x1b[31m"}}}
	want := "Name   URI       \n" +
		"------ --------- \n" +
		"orders h:1       \n" +
		"é                \n" +
		"a b    x\\x1b[31m \n"
	var out bytes.Buffer
	if err := table.Write(&out); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("table is\n%s\nwant\n%s", out.String(), want)
	}
}

func TestTableWithoutRowsStillHasAHeader(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := (terminal.Table{Header: []string{"User", "Roles"}}).Write(&out); err != nil {
		t.Fatal(err)
	}
	if want := "User Roles \n---- ----- \n"; out.String() != want {
		t.Errorf("table is %q, want %q", out.String(), want)
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ rule, got, want string }{
		{"labels are sorted", terminal.Labels(map[string]string{"b": "2", "a": "1"}), "a=1,b=2"},
		{"no labels", terminal.Labels(nil), ""},
		{"hours", terminal.Duration(time.Hour), "1h"},
		{"hours and minutes", terminal.Duration(90 * time.Minute), "1h30m"},
		{"minutes", terminal.Duration(30 * time.Minute), "30m"},
		{"ten hours", terminal.Duration(10 * time.Hour), "10h"},
		{"seconds", terminal.Duration(90*time.Second + time.Millisecond), "1m30s"},
		{"nothing", terminal.Duration(0), "0s"},
		{"ordinary text stays", terminal.Clean("SELECT 'ü'\n\t1"), "SELECT 'ü'\n\t1"},
		{"escape sequences are shown", terminal.Clean("\x1b[2J\r\a"), `\x1b[2J\r\a`},
		{"text that reorders is shown", terminal.Clean("a\u202eb"), `a\u202eb`},
		{"a word stays", terminal.Quote("orders"), "orders"},
		{"a sentence is quoted", terminal.Quote(`no "x"`), `"no \"x\""`},
		{"nothing is quoted", terminal.Quote(""), `""`},
	} {
		if test.got != test.want {
			t.Errorf("%s: %q, want %q", test.rule, test.got, test.want)
		}
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	type inner struct {
		List  []int             `json:"list"`
		Map   map[string]string `json:"map"`
		Empty []string          `json:"empty"`
		None  map[string]string `json:"none"`
	}
	value := []any{
		struct {
			Name  string  `json:"name"`
			On    bool    `json:"on"`
			Ratio float64 `json:"ratio"`
			Inner inner   `json:"inner"`
			Rows  []inner `json:"rows"`
		}{"a: <b>", true, 1.5, inner{[]int{1, 2}, map[string]string{"x": "yes", "y z": "plain"}, []string{}, nil}, []inner{{List: []int{3}}}},
		"word", []int{},
	}
	var text bytes.Buffer
	if err := terminal.Encode(&text, "yaml", value); err != nil {
		t.Fatal(err)
	}
	want := `- name: "a: <b>"
  "on": true
  ratio: 1.5
  inner:
    list:
    - 1
    - 2
    map:
      x: "yes"
      "y z": plain
    empty: []
    none: null
  rows:
  - list:
    - 3
    map: null
    empty: null
    none: null
- word
- []
`
	if text.String() != want {
		t.Errorf("YAML is\n%s\nwant\n%s", text.String(), want)
	}
	text.Reset()
	if err := terminal.Encode(&text, "json", []string{"<a>"}); err != nil || text.String() != "[\n  \"<a>\"\n]\n" {
		t.Errorf("JSON is %q, %v", text.String(), err)
	}
	for _, format := range []string{"json", "yaml"} {
		text.Reset()
		if err := terminal.Encode(&text, format, []string(nil)); err != nil || text.String() != "[]\n" {
			t.Errorf("an empty list as %s is %q, %v", format, text.String(), err)
		}
	}
}

func TestEncodeIndentsAsAskedFor(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	if err := terminal.EncodeIndented(&text, "json", map[string]int{"a": 1}, 4); err != nil || text.String() != "{\n    \"a\": 1\n}\n" {
		t.Errorf("printed %q, %v", text.String(), err)
	}
}

func TestFormatsAreCheckedBeforeTheCommandRuns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ args, want, problem string }{
		{"", "", ""},
		{"--format=json", "json", ""},
		{"-f text", "text", ""},
		{"--format=xml", "", `--format must be text or json, not "xml"`},
	} {
		var format, ran string
		cmd := &cobra.Command{Use: "show", SilenceErrors: true, SilenceUsage: true, Run: func(*cobra.Command, []string) { ran = "with " + format }}
		terminal.FormatFlag(cmd, &format, "f", "output `format`", "", "text", "json")
		cmd.SetArgs(strings.Fields(test.args))
		err := cmd.Execute()
		if test.problem != "" {
			if !fault.Is(err, fault.BadParameter) || fault.Message(err) != test.problem || ran != "" {
				t.Errorf("%s: error is %v, ran %q", test.args, err, ran)
			}
		} else if err != nil || ran != "with "+test.want {
			t.Errorf("%s: ran %q, %v", test.args, ran, err)
		}
	}
}

func TestPromptReadsOneLineForEachQuestion(t *testing.T) {
	t.Parallel()
	var asked bytes.Buffer
	prompt := terminal.NewPrompt(strings.NewReader("one\r\n two \nthree"), &asked)
	for _, want := range []string{"one", " two ", "three"} {
		if got, err := prompt.Secret(t.Context(), "Password:"); err != nil || got != want {
			t.Errorf("answer is %q, %v, want %q", got, err, want)
		}
	}
	if _, err := prompt.Secret(t.Context(), "Password:"); !fault.Is(err, fault.BadParameter) {
		t.Errorf("end of input: %v, want an error", err)
	}
	if !strings.HasPrefix(asked.String(), "Password: \n") || strings.Contains(asked.String(), "one") {
		t.Errorf("printed %q", asked.String())
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, "yes": true, "n\n": false, "\n": false, "yep\n": false} {
		var asked bytes.Buffer
		if got, err := terminal.Confirm(t.Context(), strings.NewReader(answer), &asked, "Overwrite?"); err != nil || got != want || asked.String() != "Overwrite? [y/N]: \n" {
			t.Errorf("%q gives %t, %v after %q", answer, got, err, asked.String())
		}
	}
	var asked bytes.Buffer
	if _, err := terminal.Confirm(t.Context(), strings.NewReader(""), &asked, "Overwrite?"); err == nil || !strings.HasSuffix(asked.String(), "\n") {
		t.Errorf("at the end of the input: %v after %q, want an error and a new line", err, asked.String())
	}
}

func TestEdit(t *testing.T) {
	dir := t.TempDir()
	script := func(name, body string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("TMPDIR", dir)
	t.Setenv("VISUAL", "/no/such/editor")
	t.Setenv("TELEPORT_EDITOR", script("add", `case "$2" in *role-edit.yaml) ;; *) exit 9;; esac; echo "$1" >> "$2"`)+" word")
	text, err := terminal.Edit(context.Background(), []byte("a\n"), "role-*.yaml")
	if err != nil || string(text) != "a\nword\n" {
		t.Errorf("text is %q, %v", text, err)
	}
	t.Setenv("TELEPORT_EDITOR", script("fail", "exit 3"))
	if _, err := terminal.Edit(context.Background(), []byte("a\n"), "x"); err == nil || !strings.Contains(fault.Message(err), "nothing was changed") {
		t.Errorf("a failing editor: %v", err)
	}
	for name, body := range map[string]string{"an editor that empties the text": `: > "$1"`, "an editor that removes the text": `rm "$1"`} {
		t.Setenv("TELEPORT_EDITOR", script("empty", body))
		if text, err := terminal.Edit(context.Background(), []byte("a\n"), "x"); err != nil || len(text) > 0 {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "sallyport-edit-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// tree returns commands like those of the programs. What a call does is written to out.
func tree(out *bytes.Buffer) *cobra.Command {
	root := &cobra.Command{Use: "prog", Short: "A program"}
	var debug, fast bool
	var kind string
	var ttl time.Duration
	var limit int
	root.PersistentFlags().BoolVarP(&debug, "debug", "d", false, "tell more")
	add := &cobra.Command{Use: "add NAME", Short: "Add", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
		if args[0] == "bad" {
			return fault.Wrap(fault.NotFound, errors.New("the cause"), "there is no \x1b[2Jname")
		}
		if args[0] == "code" {
			return fmt.Errorf("running it: %w", &terminal.ExitError{State: "exit status 7", Code: 7})
		}
		_, err := fmt.Fprintf(out, "add %s kind=%s fast=%t debug=%t\n", args[0], kind, fast, debug)
		return err
	}}
	add.Flags().StringVar(&kind, "kind", "", "kind")
	add.Flags().BoolVar(&fast, "fast", true, "be fast")
	add.Flags().DurationVar(&ttl, "ttl", 0, "how long")
	add.Flags().IntVar(&limit, "limit", 0, "how many")
	if err := add.MarkFlagRequired("kind"); err != nil {
		panic(err)
	}
	group := &cobra.Command{Use: "things", Short: "Things"}
	group.AddCommand(add)
	root.AddCommand(group, terminal.VersionCommand())
	root.SetOut(out)
	root.SetErr(out)
	terminal.Prepare(root)
	return root
}

func TestCalls(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		call string
		code int
		want []string
	}{
		{"things add a --kind=x", 0, []string{"add a kind=x fast=true debug=false\n"}},
		{"things add --kind x a --no-fast -d", 0, []string{"add a kind=x fast=false debug=true\n"}},
		{"things add --no-fast=false --kind=x --no-debug a", 0, []string{"fast=true debug=false\n"}},
		{"things add --fast=false --kind=x a", 0, []string{"fast=false"}},
		{"things add a", 1, []string{"Usage:\n  prog things add NAME\n  prog things add --help\n\nERROR: --kind is missing\n\n"}},
		{"things add --kind=x", 1, []string{"Usage:", `ERROR: "prog things add" needs an argument: NAME` + "\n\n"}},
		{"things add --kind=x a b", 1, []string{"Usage:", `ERROR: "prog things add" takes NAME, but 2 arguments were given`}},
		{"things add --kid=x a", 1, []string{"ERROR: unknown flag --kid; did you mean --kind?\n\n"}},
		{"things add -x a", 1, []string{"ERROR: unknown flag -x\n\n"}},
		{"things add --kind", 1, []string{"ERROR: --kind needs a value\n\n"}},
		{"version -f", 1, []string{"ERROR: -f needs a value\n\n"}},
		{"things add --no-fast=maybe a", 1, []string{`ERROR: --no-fast: "maybe" is not true or false`}},
		{"things add --fast=maybe a", 1, []string{`ERROR: --fast: "maybe" is not true or false`}},
		{"things add --ttl=soon a", 1, []string{`ERROR: --ttl: "soon" is not a duration; write one like 30m, 1h30m or 12h` + "\n"}},
		{"things add --limit=all a", 1, []string{`ERROR: --limit: "all" is not a whole number` + "\n"}},
		{"things ad", 1, []string{`prog: error: unknown command "ad"; did you mean "add"?`, "Commands:\n  add"}},
		{"thing --kind=x", 1, []string{`prog: error: unknown command "thing"; did you mean "things"?`, "Commands:\n", "  things"}},
		{"", 1, []string{"prog: error: choose one of the commands below", "  version"}},
		{"version extra", 1, []string{`ERROR: "prog version" takes no argument, but "extra" was given`}},
		{"things add bad --kind=x", 1, []string{`ERROR: there is no \x1b[2Jname` + "\n\n"}},
		{"things add bad --kind=x -d", 1, []string{"Detail: ", "the cause"}},
		{"things add code --kind=x", 7, []string{"ERROR: exit status 7\n\n"}},
		{"__complete version --format=", 0, []string{"text\njson\nyaml\n:4\n"}},
		{"version --format=json", 0, []string{"{\n  \"version\": ", "\"gitref\": ", "\"runtime\": \"go"}},
		{"version --format=xml", 1, []string{`ERROR: --format must be text, json or yaml, not "xml"`}},
		{"completion bash", 0, []string{"complete"}},
		{"completion tcsh", 1, []string{`ERROR: "tcsh" is no shell that is known here; use bash, zsh, fish or powershell`}},
	} {
		t.Run(test.call, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			root := tree(&out)
			root.SetArgs(strings.Fields(test.call))
			if code := terminal.Exit(root, root.Execute()); code != test.code {
				t.Errorf("exit code is %d, want %d", code, test.code)
			}
			for _, want := range test.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in\n%s", want, out.String())
				}
			}
		})
	}
}

func TestErrorsOfOtherKindsAreToldInFull(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	terminal.WriteError(&out, fmt.Errorf("opening x: %w", os.ErrNotExist))
	if want := "ERROR: opening x: file does not exist\n\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}
