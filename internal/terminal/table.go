// Package terminal is what the three commands have in common with the person in front of them: tables,
// formats, prompts, errors and the habits of their flags.
package terminal

import (
	"bufio"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// Table is text in columns below a header. Rows may be shorter than the header.
type Table struct {
	Header []string
	Rows   [][]string
	Wide   bool // show long cells whole, whatever the width of the terminal
	// Whole are the headers of columns that are shown whole in any case, because commands take what they show, and Short those
	// of columns that are cut before others.
	Whole, Short []string
}

const (
	// minColumn is what a column is not cut below.
	minColumn = 8
	ellipsis  = "..."
)

// Write prints the table: the header, a row of dashes, the rows; one space after every column. Cells that
// would make lines longer than the terminal is wide are cut and end in "...". What is not a terminal gets all.
func (t Table) Write(out io.Writer) error {
	rows := make([][]string, 0, len(t.Rows)+1)
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		cells := make([]string, len(t.Header))
		for i := range cells {
			if i < len(row) {
				cells[i] = Line(row[i])
			}
		}
		rows = append(rows, cells)
	}
	widths := t.widths(rows)
	if width, ok := widthOf(out); ok && !t.Wide {
		t.narrow(widths, width)
	}
	dashes := make([]string, len(widths))
	for i, width := range widths {
		dashes[i] = strings.Repeat("-", width)
	}
	w := bufio.NewWriter(out)
	for i, row := range rows {
		writeRow(w, row, widths)
		if i == 0 {
			writeRow(w, dashes, widths)
		}
	}
	return w.Flush()
}

// widths returns what the cells of each column need.
func (t Table) widths(rows [][]string) []int {
	widths := make([]int, len(t.Header))
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	return widths
}

// narrow makes the lines fit, as far as that is possible.
func (t Table) narrow(widths []int, available int) {
	excess := len(widths) - available // with the space after each column
	for _, width := range widths {
		excess += width
	}
	for _, short := range []bool{true, false} {
		for ; excess > 0; excess-- {
			widest := t.widest(widths, short)
			if widest < 0 {
				break
			}
			widths[widest]--
		}
	}
}

// widest returns the widest column that may be cut, of those to be cut first or of the others; -1 if there is none.
func (t Table) widest(widths []int, short bool) int {
	widest := -1
	for i, width := range widths {
		name := t.Header[i]
		if slices.Contains(t.Whole, name) || slices.Contains(t.Short, name) != short {
			continue
		}
		if width > max(minColumn, utf8.RuneCountInString(name)) && (widest < 0 || width > widths[widest]) {
			widest = i
		}
	}
	return widest
}

func writeRow(w *bufio.Writer, row []string, widths []int) {
	for i, text := range row {
		if length := utf8.RuneCountInString(text); length > widths[i] {
			text = string([]rune(text)[:widths[i]-len(ellipsis)]) + ellipsis
		} else {
			text += strings.Repeat(" ", widths[i]-length)
		}
		w.WriteString(text)
		w.WriteByte(' ')
	}
	w.WriteByte('\n')
}

// widthOf returns the columns of the terminal that out is, or false if it is none.
func widthOf(out io.Writer) (int, bool) {
	file, ok := Beneath(out).(*os.File)
	if !ok {
		return 0, false
	}
	width, _, err := term.GetSize(int(file.Fd()))
	return width, err == nil && width > 0
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
