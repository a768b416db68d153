package terminal_test

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/terminal"
)

// onTerminal returns the lines of a table on a terminal of so many columns.
func onTerminal(t *testing.T, columns uint16, table terminal.Table) []string {
	t.Helper()
	person, program := pseudoTerminal(t)
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	if err := table.Write(program); err != nil {
		t.Fatal(err)
	}
	seen := bufio.NewReader(person)
	lines := make([]string, 2+len(table.Rows))
	for i := range lines {
		line, err := seen.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = strings.TrimSuffix(line, "\r\n")
	}
	return lines
}

// inPipe returns what a program reads.
func inPipe(t *testing.T, table terminal.Table) string {
	t.Helper()
	var out bytes.Buffer
	if err := table.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTablesFitTheTerminal(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100)
	for rule, test := range map[string]struct {
		columns uint16
		table   terminal.Table
		want    string // the row
	}{
		"the widest is cut": {
			40, terminal.Table{Header: []string{"Name", "Labels"}, Rows: [][]string{{"short", long}}},
			"short " + long[:30] + "... ",
		},
		"two that are as wide": {
			40, terminal.Table{Header: []string{"Name", "Labels"}, Rows: [][]string{{long, long}}},
			long[:16] + "... " + long[:16] + "... ",
		},
		"what commands take is not": {
			60, terminal.Table{Header: []string{"ID", "Message"}, Rows: [][]string{{long[:36], long}}, Whole: []string{"ID"}},
			long[:36] + " " + long[:19] + "... ",
		},
		"nor if lines become too long": {
			40, terminal.Table{Header: []string{"ID", "Message"}, Rows: [][]string{{long[:36], long}}, Whole: []string{"ID"}},
			long[:36] + " " + long[:5] + "... ",
		},
		"what matters least comes first": {
			40, terminal.Table{Header: []string{"Name", "Users", "Labels"}, Rows: [][]string{{"orders", long[:20], long}}, Short: []string{"Labels"}},
			"orders " + long[:20] + " " + long[:8] + "... ",
		},
		"and the rest when that is not enough": {
			35, terminal.Table{Header: []string{"Name", "Users", "Labels"}, Rows: [][]string{{"orders", long[:20], long}}, Short: []string{"Labels"}},
			"orders " + long[:15] + "... " + long[:5] + "... ",
		},
		"nothing that is asked for in full": {
			40, terminal.Table{Header: []string{"Name", "Labels"}, Rows: [][]string{{"short", long}}, Wide: true},
			"short " + long + " ",
		},
	} {
		if lines := onTerminal(t, test.columns, test.table); lines[2] != test.want {
			t.Errorf("%s:\n%s", rule, strings.Join(lines, "\n"))
		}
		if out := inPipe(t, test.table); strings.Contains(out, "...") {
			t.Errorf("%s, but in a pipe there is\n%s", rule, out)
		}
	}
}

func TestTableOfManyColumnsKeepsItsHeader(t *testing.T) {
	t.Parallel()
	header, row := make([]string, 12), make([]string, 12)
	for i := range header {
		header[i], row[i] = fmt.Sprintf("Column %d", i), strings.Repeat("y", 30)
	}
	lines := onTerminal(t, 80, terminal.Table{Header: header, Rows: [][]string{row}})
	if want := strings.Join(header, " ") + " "; lines[0] != want || !strings.Contains(lines[2], "yyyyy... ") {
		t.Errorf("got\n%s", strings.Join(lines, "\n"))
	}
}
