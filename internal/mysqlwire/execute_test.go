package mysqlwire_test

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/mysqlwire"
)

// head begins an execution of statement 1: no cursor, one iteration.
const head = "\x01\x00\x00\x00\x00\x01\x00\x00\x00"

func shown(values []mysqlwire.Value) string {
	var texts []string
	for _, v := range values {
		switch {
		case v.Long:
			texts = append(texts, "(long)")
		case v.Null:
			texts = append(texts, "NULL")
		case v.Default:
			texts = append(texts, "DEFAULT")
		case v.Ignored:
			texts = append(texts, "IGNORE")
		case v.Binary:
			texts = append(texts, fmt.Sprintf("x'%x'", v.Text))
		default:
			texts = append(texts, string(v.Text))
		}
	}
	return strings.Join(texts, " ")
}

// TestExecutions reads executions as servers do, or not at all: what is read in two ways is recorded wrongly.
func TestExecutions(t *testing.T) {
	t.Parallel()
	text, number := uint16(0xfe), uint16(3)
	for name, c := range map[string]struct {
		body  string
		types []uint16 // of the execution before
		n     int
		want  string // empty for an error
	}{
		"types of its own":                   {head + "\x00\x01\xfe\x00\x03\x00\x01a\xff\xff\xff\xff", nil, 2, "a -1"},
		"types of the one before":            {head + "\x00\x00\x01a\x01\x00\x00\x00", []uint16{text, number}, 2, "a 1"},
		"other types than the one before":    {head + "\x00\x01\x03\x00\xfe\x00\x01\x00\x00\x00\x01a", []uint16{text, number}, 2, "1 a"},
		"types announced by another number":  {head + "\x00\x02\x01a\x01\x00\x00\x00", []uint16{text, number}, 2, ""},
		"no types":                           {head + "\x00\x00\x01a", nil, 1, ""},
		"types of another statement":         {head + "\x00\x00\x01a", []uint16{text, number}, 1, ""},
		"NULL":                               {head + "\x01\x01\xfe\x00\x03\x00\x01\x00\x00\x00", nil, 2, "NULL 1"},
		"the ninth is NULL":                  {head + "\x00\x01\x01" + strings.Repeat("\x01\x00", 9) + "\x01\x02\x03\x04\x05\x06\x07\x08", nil, 9, "1 2 3 4 5 6 7 8 NULL"},
		"something behind the values":        {head + "\x00\x01\xfe\x00\x01ab", nil, 1, ""},
		"a value too few":                    {head + "\x00\x01\xfe\x00\xfe\x00\x01a", nil, 2, ""},
		"a type too few":                     {head + "\x00\x01\xfe\x00", nil, 2, ""},
		"a type that does not exist":         {head + "\x00\x01\x77\x00\x01", nil, 1, ""},
		"a length that is NULL":              {head + "\x00\x01\xfe\x00\xfb", nil, 1, ""},
		"a length beyond the packet":         {head + "\x00\x01\xfe\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff", nil, 1, ""},
		"a length in two bytes":              {head + "\x00\x01\xfe\x00\xfc\x02\x00ab", nil, 1, "ab"},
		"a length in three bytes":            {head + "\x00\x01\xfe\x00\xfd\x02\x00\x00ab", nil, 1, "ab"},
		"a length in eight bytes":            {head + "\x00\x01\xfe\x00\xfe\x02\x00\x00\x00\x00\x00\x00\x00ab", nil, 1, "ab"},
		"bytes":                              {head + "\x00\x01\xfc\x00\x02\x00\xff", nil, 1, "x'00ff'"},
		"a number without a sign":            {head + "\x00\x01\x01\x80\xff", nil, 1, "255"},
		"a number with a sign":               {head + "\x00\x01\x01\x00\xff", nil, 1, "-1"},
		"a short":                            {head + "\x00\x01\x02\x00\x00\x80", nil, 1, "-32768"},
		"a long":                             {head + "\x00\x01\x08\x00\xff\xff\xff\xff\xff\xff\xff\x7f", nil, 1, "9223372036854775807"},
		"a long without a sign":              {head + "\x00\x01\x08\x80\xff\xff\xff\xff\xff\xff\xff\xff", nil, 1, "18446744073709551615"},
		"a float":                            {head + "\x00\x01\x04\x00\x00\x00\xc0\x3f", nil, 1, "1.5"},
		"a double":                           {head + "\x00\x01\x05\x00\x00\x00\x00\x00\x00\x00\xf8\xbf", nil, 1, "-1.5"},
		"a date":                             {head + "\x00\x01\x0a\x00\x04\xea\x07\x0b\x19", nil, 1, "2026-11-25"},
		"a date without anything":            {head + "\x00\x01\x0a\x00\x00", nil, 1, "0000-00-00"},
		"a moment":                           {head + "\x00\x01\x0c\x00\x0b\xea\x07\x0b\x19\x17\x3b\x01\x40\xe2\x01\x00", nil, 1, "2026-11-25 23:59:01.123456"},
		"a moment of a wrong length":         {head + "\x00\x01\x0c\x00\x05\xea\x07\x0b\x19\x17", nil, 1, ""},
		"a time before midnight":             {head + "\x00\x01\x0b\x00\x08\x01\x02\x00\x00\x00\x03\x04\x05", nil, 1, "-51:04:05"},
		"a time with parts of a second":      {head + "\x00\x01\x0b\x00\x0c\x00\x00\x00\x00\x00\x03\x04\x05\x06\x00\x00\x00", nil, 1, "03:04:05.000006"},
		"a time of a wrong length":           {head + "\x00\x01\x0b\x00\x07\x00\x00\x00\x00\x00\x03\x04", nil, 1, ""},
		"a head that is cut off":             {head[:8], nil, 1, ""},
		"a head that is cut off, no values":  {head[:8], nil, 0, ""},
		"something behind, where nothing is": {head + "\x00", nil, 0, "(nothing)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, err := mysqlwire.ParseExecute([]byte(c.body), c.n, c.types, func(int) bool { return false })
			got := shown(x.Values)
			if c.n == 0 && err == nil {
				got = "(nothing)"
			}
			if got != c.want || (err != nil) != (c.want == "") {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
	x, err := mysqlwire.ParseExecute([]byte("\x01\x00\x00\x00\x01\x01\x00\x00\x00\x01\x01\xfe\x00\xfe\x00\x01b"), 2, nil, func(n int) bool { return n == 0 })
	if got := shown(x.Values); err != nil || got != "(long) b" || !x.Cursor {
		t.Errorf("a value in pieces, with a cursor: %q, %v, %v", got, x.Cursor, err)
	}
}

func TestBulkExecutions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		want string
		rows int
	}{
		"two rows":                    {"\x01\x00\x00\x00\x80\x00\x01\x00\xfe\x00" + "\x00\x01\x00\x01a" + "\x01\x02", "1 a NULL DEFAULT", 2},
		"ignored":                     {"\x01\x00\x00\x00\x80\x00\x01\x00\xfe\x00" + "\x03\x00\x01a", "IGNORE a", 1},
		"half a row":                  {"\x01\x00\x00\x00\x80\x00\x01\x00\xfe\x00" + "\x00\x01\x00\x01a" + "\x01", "", 0},
		"an indicator of nothing":     {"\x01\x00\x00\x00\x80\x00\x01\x00\xfe\x00" + "\x04\x00\x01a", "", 0},
		"types that were not told":    {"\x01\x00\x00\x00\x00\x00" + "\x00\x01\x00\x01a", "", 0},
		"types that are not complete": {"\x01\x00\x00\x00\x80\x00\x01\x00", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := mysqlwire.ParseBulk([]byte(c.body), 2, nil, func(int) error { return nil })
			if got := shown(b.Values); got != c.want || b.Rows != c.rows || (err != nil) != (c.want == "") {
				t.Errorf("got %q in %d rows, %v", got, b.Rows, err)
			}
		})
	}
}
