package audit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/audit"
)

// values returns so many values that each repeat the text up to the size.
func values(text string, size, count int) []audit.Parameter {
	return slices.Repeat([]audit.Parameter{{Value: []byte(strings.Repeat(text, size/len(text)))}}, count)
}

// TestManyValuesDoNotSwell checks that values are kept exactly, and that an event of many is not much larger than they are,
// whatever their bytes are.
func TestManyValuesDoNotSwell(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		values  []audit.Parameter
		printed bool // as texts
	}{
		"letters":                 {values("x", 1000, 3000), true},
		"lines":                   {values("0123456789\n", 1100, 3000), true},
		"characters":              {values("é", 1000, 3000), true},
		"control characters":      {values("\x01", 1000, 3000), false},
		"quotes":                  {values(`"`, 1000, 3000), false},
		"not UTF-8":               {values("\xff", 1000, 3000), false},
		"short":                   {values("\x01", 40, 50_000), false},
		"few":                     {values("\x01", 60_000, 30), false},
		"not many":                {values("\x01", 10, 3), true},
		"just not large":          {values("\x01", 1<<10, 1<<10), true},
		"letters after much else": {append(values("\xff", 1000, 3000), values("x", 5, 1)...), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := 0
			for _, v := range c.values {
				raw += len(v.Value)
			}
			query := &audit.DatabaseQuery{Query: []byte("?"), Parameters: c.values}
			line, err := newChain(t).Append(nil, query, noon)
			if err != nil {
				t.Fatal(err)
			}
			if limit := raw + raw*2/3 + 16<<10; raw > audit.LargeValues && len(line) > limit {
				t.Errorf("%d bytes for values of %d", len(line), raw)
			}
			if measured := audit.Size(query); raw > audit.LargeValues && (measured < len(line)-4<<10 || measured > len(line)+len(line)/2) {
				t.Errorf("measured are %d bytes of %d", measured, len(line))
			}
			var event struct {
				Values []string `json:"db_query_parameters"`
				Exact  []string `json:"db_query_parameters_base64"`
				Places []int    `json:"db_query_parameters_binary"`
			}
			if err := json.Unmarshal(line, &event); err != nil {
				t.Fatal(err)
			}
			if printed := len(event.Places) == 0; printed != c.printed || len(event.Exact) > 0 {
				t.Errorf("%d values are in base64 alone, %d beside their text", len(event.Places), len(event.Exact))
			}
			for i, v := range c.values {
				got := []byte(event.Values[i])
				if _, binary := slices.BinarySearch(event.Places, i); binary {
					got, err = base64.StdEncoding.DecodeString(event.Values[i])
				}
				if err != nil || !bytes.Equal(got, v.Value) {
					t.Fatalf("value %d is %.50q, want %.50q: %v", i, got, v.Value, err)
				}
			}
		})
	}
}

// TestLargeEventsTakeWhatTheyNeed has events be encoded without a copy of what they have so far. It runs alone: what is
// allocated is the whole process's.
func TestLargeEventsTakeWhatTheyNeed(t *testing.T) {
	for name, event := range map[string]audit.SessionEvent{
		"values that are letters": &audit.DatabaseQuery{Parameters: values("x", 1000, 6000)},
		"values that are not":     &audit.PostgresBind{Parameters: values("\x01", 1000, 6000)},
		"of an execution":         &audit.MySQLExecute{Parameters: values("\xff", 1000, 6000)},
		"of many rows":            &audit.MySQLBulkExecute{Parameters: values("\"", 10, 600_000)},
		"one by one":              &audit.DatabaseQuery{Parameters: values("\x01", 1, 600_000)},
		"a text":                  &audit.DatabaseQuery{Query: bytes.Repeat([]byte("x"), 6_000_000)},
		"a text that is none":     &audit.DatabaseQueryFailed{DatabaseQuery: audit.DatabaseQuery{Query: bytes.Repeat([]byte("\x01"), 6_000_000)}},
		"a name":                  &audit.MySQLSchema{Command: audit.SchemaUse, Name: make([]byte, 6_000_000)},
		"a piece":                 &audit.MySQLLongData{Data: make([]byte, 6_000_000)},
	} {
		chain := newChain(t)
		if _, err := chain.Append(nil, &audit.DatabaseQuery{}, noon); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		line, err := chain.Append(nil, event, noon)
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		// Growing by quarters takes five times the event. With -race slices.Grow takes it twice.
		if took := int(after.TotalAlloc - before.TotalAlloc); took > 2*len(line)+len(line)/4+64<<10 {
			t.Errorf("%s: %d bytes were allocated for an event of %d", name, took, len(line))
		}
	}
}
