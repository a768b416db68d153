package audit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"sallyport/internal/audit"
)

// TestLongTextsDoNotSwell checks that a text is kept exactly, and that no text takes much more room in the record than
// in base64, whatever its characters are.
func TestLongTextsDoNotSwell(t *testing.T) {
	t.Parallel()
	const size = 300_000
	for name, c := range map[string]struct {
		text  string
		whole bool // it is printed as it is
	}{
		"plain":             {strings.Repeat("x", size), true},
		"lines":             {strings.Repeat("select 1\n", size/9), true},
		"characters":        {strings.Repeat("é", size/2), true},
		"control":           {strings.Repeat("\x01", size), false},
		"quotes":            {strings.Repeat(`"`, size), false},
		"not UTF-8":         {strings.Repeat("\xff", size), false},
		"a cut character":   {strings.Repeat("x", 1022) + "€" + strings.Repeat("\x01", size), false},
		"one byte too long": {strings.Repeat("x", size) + "\xff", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chain := newChain(t)
			line, err := chain.Append(nil, &audit.DatabaseQuery{Query: []byte(c.text), Parameters: []audit.Parameter{{Value: []byte("short")}, {Value: []byte(c.text)}, {Null: true}}}, noon)
			if err != nil {
				t.Fatal(err)
			}
			if limit := 2*len(c.text)/3*4 + 16<<10; len(line) > limit {
				t.Errorf("%d bytes for two texts of %d", len(line), len(c.text))
			}
			var event struct {
				Query      string    `json:"db_query"`
				Exact      string    `json:"db_query_base64"`
				Values     []string  `json:"db_query_parameters"`
				ExactValue []*string `json:"db_query_parameters_base64"`
			}
			if err := json.Unmarshal(line, &event); err != nil {
				t.Fatal(err)
			}
			if c.whole {
				if event.Query != c.text || event.Exact != "" || event.Values[1] != c.text || event.ExactValue != nil {
					t.Error("the text is not printed as it is")
				}
				return
			}
			if event.ExactValue[0] != nil || event.ExactValue[1] == nil {
				t.Fatal("the exact values are at other places")
			}
			for _, encoded := range []string{event.Exact, *event.ExactValue[1]} {
				if exact, err := base64.StdEncoding.DecodeString(encoded); err != nil || !bytes.Equal(exact, []byte(c.text)) {
					t.Errorf("the exact bytes are others: %v", err)
				}
			}
			head := strings.TrimRight(event.Query, "\uFFFD")
			if len(event.Query) == 0 || !strings.HasPrefix(c.text, head) || event.Values[1] != event.Query {
				t.Errorf("printed is %.100q", event.Query)
			}
		})
	}
}
