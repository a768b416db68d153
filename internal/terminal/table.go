// Package terminal is what the three commands have in common with the person in front of them: tables,
// formats, prompts, errors and the habits of their flags.
package terminal

import (
	"bufio"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// Table is text in columns below a header. Rows may be shorter than the header.
type Table struct {
	Header []string
	Rows   [][]string
	Wide   bool // show long cells whole, whatever the width of the terminal
	Whole  int  // how many of the first columns are shown whole in any case, because commands take what they show
}

const (
	// widthElsewhere is assumed where the output is not a terminal.
	widthElsewhere = 80
	// minColumn is what a column is not cut below.
	minColumn = 8
	ellipsis  = "..."
)

// Write prints the table: the header, a row of dashes, the rows; one space after every column. Cells that
// would make lines longer than the terminal is wide are cut and end in "...".
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
	widths := t.widths(rows, widthOf(out))
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

// widths returns the width of each column: what its cells need, or less when the lines must fit.
func (t Table) widths(rows [][]string, available int) []int {
	widths := make([]int, len(t.Header))
	total := len(widths) // the space after each column
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i]
	}
	if t.Wide {
		return widths
	}
	for ; total > available; total-- {
		widest := -1
		for i, width := range widths {
			least := max(minColumn, utf8.RuneCountInString(rows[0][i]))
			if i >= t.Whole && width > least && (widest < 0 || width > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
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

// widthOf returns the columns of the terminal that out is.
func widthOf(out io.Writer) int {
	if file, ok := Beneath(out).(*os.File); ok {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return widthElsewhere
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
