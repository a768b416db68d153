//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// guide is a page of docs/guides whose blocks are executed.
type guide struct {
	head     string // what stands before the first section of the second level
	sections []section
	next     int // index of the section that comes next
}

// section is a heading with the blocks under it that are for a host.
type section struct {
	title  string
	blocks []block
}

// block is a fenced block of a page. Its first line says what it is and where: "console HOST" shows commands and their
// output; anything else, as in "yaml HOST:/etc/file", is a file there. Blocks without a host are for the reader only.
// No rendered page shows that line: the paragraph above the block says the same in words (see TestGuidesSayWhere).
type block struct {
	language, host, path string
	above                string // the paragraph right before the block; empty if a heading or another block is there
	lines                []string
}

// readGuide gives the sections of a page that have something to do.
func readGuide(text string) (*guide, error) {
	g := &guide{}
	g.head, _, _ = strings.Cut(text, "\n## ")
	current := section{}
	var open *block
	var paragraph string
	ended := true // the paragraph: the next line of text begins another
	close := func() {
		if len(current.blocks) > 0 {
			g.sections = append(g.sections, current)
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case open != nil && line == "```":
			if open.host != "" {
				current.blocks = append(current.blocks, *open)
			}
			open, paragraph = nil, ""
		case open != nil:
			open.lines = append(open.lines, line)
		case strings.HasPrefix(line, "```"):
			language, where, _ := strings.Cut(strings.TrimPrefix(line, "```"), " ")
			host, path, _ := strings.Cut(where, ":")
			open = &block{language: language, host: host, path: path, above: paragraph}
		case strings.HasPrefix(line, "#"):
			close()
			current, paragraph = section{title: strings.TrimLeft(line, "# ")}, ""
		case line == "":
			ended = true
		case ended:
			paragraph, ended = line, false
		default:
			paragraph += " " + line
		}
	}
	close()
	if open != nil {
		return nil, errors.New("a block has no end")
	}
	return g, nil
}

// pageStep is a command of a page with the output that the page shows.
type pageStep struct {
	command string
	shown   []string
}

// steps reads a block of commands: each begins with "$ ", goes on after a backslash and to the end of its here-document,
// and is followed by what it prints.
func (b block) steps() ([]pageStep, error) {
	var all []pageStep
	for i := 0; i < len(b.lines); i++ {
		command, ok := strings.CutPrefix(b.lines[i], "$ ")
		if !ok {
			if len(all) == 0 {
				return nil, fmt.Errorf("no command before the output %q", b.lines[i])
			}
			last := &all[len(all)-1]
			last.shown = append(last.shown, b.lines[i])
			continue
		}
		for strings.HasSuffix(command, `\`) && i+1 < len(b.lines) {
			i++
			command += "\n" + b.lines[i]
		}
		if _, end, ok := strings.Cut(command, "<<"); ok {
			end = strings.Trim(end, "'")
			for i++; i < len(b.lines) && b.lines[i] != end; i++ {
				command += "\n" + b.lines[i]
			}
			command += "\n" + end
		}
		all = append(all, pageStep{command: command})
	}
	return all, nil
}

// follow does what the next section of a page says: follow PAGE SECTION. The output of its last command goes to the file
// "page.out"; commands read their input from the file "page.in", if there is one.
func (s *story) follow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: follow PAGE SECTION")
	}
	g := s.guides[args[0]]
	if g == nil {
		text, err := os.ReadFile(filepath.Join(guides, args[0]))
		ts.Check(err)
		g, err = readGuide(string(text))
		ts.Check(err)
		if s.guides == nil {
			s.guides = map[string]*guide{}
		}
		s.guides[args[0]] = g
	}
	if g.next == len(g.sections) || !strings.HasPrefix(g.sections[g.next].title, args[1]) {
		ts.Fatalf("the next section is not %q: %+v", args[1], g.sections[min(g.next, len(g.sections)):])
	}
	section := g.sections[g.next]
	g.next++
	for _, b := range section.blocks {
		if b.language != "console" {
			ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(b.host+b.path)), 0o755))
			ts.Check(os.WriteFile(ts.MkAbs(b.host+b.path), []byte(strings.Join(b.lines, "\n")+"\n"), 0o644))
			continue
		}
		steps, err := b.steps()
		ts.Check(err)
		for _, one := range steps {
			s.do(ts, b.host, one)
		}
	}
}

// followed checks that a page was followed to its end.
func (s *story) followed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || s.guides[args[0]] == nil {
		ts.Fatalf("usage: followed PAGE")
	}
	if g := s.guides[args[0]]; g.next != len(g.sections) {
		ts.Fatalf("%q of %s was not followed", g.sections[g.next].title, args[0])
	}
}

// do executes one command of a page on a host and compares what it prints.
func (s *story) do(ts *testscript.TestScript, host string, one pageStep) {
	command := strings.TrimPrefix(one.command, "sudo ")
	ts.Logf("%s$ %s", host, command)
	if rest, ok := strings.CutPrefix(command, "systemctl "); ok {
		s.systemctl(ts, host, strings.Fields(rest))
		return
	}
	out, err := runPage(ts, host, command)
	ts.Check(os.WriteFile(ts.MkAbs("page.out"), []byte(out), 0o600))
	if err != nil {
		ts.Fatalf("%s$ %s\n%v:\n%s", host, command, err, out)
	}
	if got, want := sameEverywhere(out), sameEverywhere(strings.Join(one.shown, "\n")); want != "" && got != want {
		ts.Fatalf("%s$ %s\nprints\n%s\nthe page shows\n%s", host, command, got, want)
	}
}

func runPage(ts *testscript.TestScript, host, text string) (string, error) {
	cmd := command(ts, []string{host, "sh", "-c", "cd && " + text})
	if input, err := os.Open(ts.MkAbs("page.in")); err == nil {
		defer input.Close()
		cmd.Stdin = input
	}
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, failed.Stderr)
	}
	return string(out), err
}

// systemctl does what systemd would do with the unit "teleport" of a host.
func (s *story) systemctl(ts *testscript.TestScript, host string, args []string) {
	unit := ts.MkAbs(host + "/etc/systemd/system/teleport.service")
	start := execStart.FindStringSubmatch(ts.ReadFile(unit))
	if len(args) != 2 || args[1] != "teleport" || start == nil {
		ts.Fatalf("cannot do systemctl %q with %s", args, unit)
	}
	name := host + "-teleport"
	switch args[0] {
	case "enable":
		return
	case "restart":
		s.signal(ts, false, []string{name, "TERM"})
		s.ends(ts, false, []string{name})
	case "start":
	default:
		ts.Fatalf("systemctl %s is not known here", args[0])
	}
	s.run(ts, false, []string{name, host, "sh", "-c", "set -a; [ ! -f /etc/default/teleport ] || . /etc/default/teleport; exec " + start[1]})
	s.hear(ts, false, []string{name, "Sallyport is running"})
}

var execStart = regexp.MustCompile(`(?m)^ExecStart=(.*)$`)

// varying is what differs each time: tokens, identifiers, moments and durations.
var varying = regexp.MustCompile(`[0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| [-+]\d{4} UTC)?|\b12h\b|\b11h59m\b|\b\d+ms\b`)

var spaces = regexp.MustCompile(`[ \t]+|-{4,}`)

// sameEverywhere drops from output what differs each time, and how columns are filled up.
func sameEverywhere(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = spaces.ReplaceAllString(varying.ReplaceAllString(strings.TrimSpace(line), "_"), " ")
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// guides is the folder of the pages.
var guides, _ = filepath.Abs("../docs/guides") // a folder that is not there is told by reading from it
