package terminal

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Now is the clock of the commands.
func Now() time.Time { return time.Now() }

// Clean returns the text with what could disturb a terminal made visible: control characters, and
// characters that reorder text. Line ends and tabs stay.
func Clean(text string) string {
	if !strings.ContainsFunc(text, disturbs) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if disturbs(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func disturbs(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
}

// Line is Clean for one line: line ends and tabs become spaces.
func Line(text string) string {
	return strings.Join(strings.FieldsFunc(Clean(text), func(r rune) bool { return r == '\n' || r == '\t' }), " ")
}

// Quote returns the text as one word of a line: as it is, or in double quotes when it is empty or has
// spaces, quotes or anything that is not printable.
func Quote(text string) string {
	special := func(r rune) bool {
		return unicode.IsSpace(r) || !strconv.IsPrint(r) || strings.ContainsRune(`"\=`, r)
	}
	if text != "" && !strings.ContainsFunc(text, special) {
		return text
	}
	return strconv.Quote(text)
}

// Labels returns labels as people write them on the command line, in the order of their names.
func Labels(labels map[string]string) string {
	pairs := make([]string, 0, len(labels))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, name+"="+labels[name])
	}
	return strings.Join(pairs, ",")
}

// Duration returns the time to the second, without the parts that are zero, as in 1h30m.
func Duration(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
