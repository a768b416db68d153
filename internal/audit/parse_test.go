package audit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"sallyport/internal/audit"
)

const minimal = `{"v":1,"ei":0,"event":"user.login","code":"T1000I","uid":"00010203-0405-4607-8809-0a0b0c0d0e0f","time":"2024-03-05T12:00:00.987Z"`

func TestParseIsStrict(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, line string
		ok         bool
	}{
		{"the required keys alone", minimal + `}`, true},
		{"unknown keys of every kind", minimal + `,"a":[1,-2.5e+3,"x\u00e9\n",null,true,false,{"b":{}}],"c":[]}`, true},
		{"a newer version", strings.Replace(minimal, `"v":1`, `"v":2`, 1) + `}`, true},
		{"an escaped user", minimal + `,"user":"a\"b\u0001"}`, true},
		{"a user escaped without need", minimal + `,"user":"\u0061lice"}`, false},
		{"nothing", ``, false},
		{"a list", `[]`, false},
		{"an empty object", `{}`, false},
		{"text after the end", minimal + `} `, false},
		{"two events", minimal + `}{}`, false},
		{"a blank between tokens", minimal + `, "user":"a"}`, false},
		{"a line break between tokens", minimal + "\n}", false},
		{"a raw control character", minimal + ",\"a\":\"\x01\"}", false},
		{"a raw line break in a string", minimal + ",\"a\":\"\n\"}", false},
		{"bytes that are not UTF-8", minimal + ",\"a\":\"\xff\"}", false},
		{"the type twice", minimal + `,"event":"other"}`, false},
		{"the user twice", minimal + `,"user":"a","user":"b"}`, false},
		{"an escaped key", minimal + `,"\u0075ser":"b"}`, false},
		{"a key of the envelope", minimal + `,"log_index":1}`, false},
		{"another key that begins so", minimal + `,"log_x":1}`, false},
		{"a key of the envelope in a nested object", minimal + `,"identity":{"log_index":1}}`, true},
		{"a zero UUID", strings.Replace(minimal, "00010203-0405-4607-8809-0a0b0c0d0e0f", "00000000-0000-0000-0000-000000000000", 1) + `}`, false},
		{"an id in braces", strings.Replace(minimal, "00010203-0405-4607-8809-0a0b0c0d0e0f", "{00010203-0405-4607-8809-0a0b0c0d0e0f}", 1) + `}`, false},
		{"an id in capitals", strings.Replace(minimal, "0a0b0c", "0A0B0C", 1) + `}`, false},
		{"a time without milliseconds", strings.Replace(minimal, ".987Z", "Z", 1) + `}`, false},
		{"a time in another zone", strings.Replace(minimal, ".987Z", ".987+01:00", 1) + `}`, false},
		{"an index that is not whole", strings.Replace(minimal, `"ei":0`, `"ei":0.5`, 1) + `}`, false},
		{"an index beyond 64 bits", strings.Replace(minimal, `"ei":0`, `"ei":9223372036854775808`, 1) + `}`, false},
		{"a number with a leading zero", minimal + `,"a":01}`, false},
		{"a number without digits", minimal + `,"a":-}`, false},
		{"a word", minimal + `,"a":nul}`, false},
		{"a bad escape", minimal + `,"a":"\x"}`, false},
		{"half an escape", minimal + `,"a":"\u12"}`, false},
		{"a trailing comma", minimal + `,}`, false},
		{"no end", minimal, false},
		{"a hash that is too short", minimal + `,"prev":"00"}`, false},
		{"nested without end", minimal + `,"a":` + strings.Repeat("[", 100_000), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := audit.Parse([]byte(c.line)); (err == nil) != c.ok {
				t.Errorf("error %v, accepted: %v", err, !c.ok)
			}
		})
	}
}

func TestParseReadsTheFields(t *testing.T) {
	t.Parallel()
	lines := session(t)
	f, err := audit.Parse(lines[0])
	if err != nil {
		t.Fatal(err)
	}
	if f.Type != "db.session.start" || f.Code != "TDB00I" || f.User != "bea" || f.SID.String() != sid || f.Cluster != "sp.example.org" ||
		f.Server != "9d9c2a8e-53f0-4b0a-8cf4-2b3f1d0c5a77" || !f.Success || !f.Chained() || !f.Time.Equal(noon.Truncate(1e6)) || !bytes.Equal(f.Raw, lines[0]) {
		t.Errorf("%+v", f)
	}
}

// FuzzParse checks that whatever Parse accepts is JSON for others too, with the same meaning.
func FuzzParse(f *testing.F) {
	golden, err := os.ReadFile(filepath.Join("testdata", "events.jsonl"))
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(golden) {
		f.Add(bytes.TrimSuffix(line, []byte("\n")))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		fields, err := audit.Parse(line)
		if err != nil {
			return
		}
		var other struct {
			Type string `json:"event"`
			Code string `json:"code"`
			UID  string `json:"uid"`
			User string `json:"user"`
			EI   int64  `json:"ei"`
		}
		if err := json.Unmarshal(line, &map[string]any{}); err != nil {
			t.Fatalf("accepted what is not JSON: %v", err)
		}
		if bytes.ContainsAny(line, "\n\r") {
			t.Fatal("accepted a line break")
		}
		if bytes.Contains(bytes.ToLower(line), []byte(`"event"`)) != bytes.Contains(line, []byte(`"event"`)) {
			return // encoding/json takes keys in any case
		}
		if err := json.Unmarshal(line, &other); err != nil {
			return // another case of a key again, with a value of another kind
		}
		if strings.EqualFold(other.UID, fields.UID.String()) && other.Type == fields.Type && (other.EI != fields.Index || other.Code != fields.Code) {
			t.Fatalf("%+v read as %+v", other, fields)
		}
	})
}

// FuzzQuery checks that any statement is encoded as JSON from which its exact bytes can be had.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "select 1", "\"\\\n\r\t\x00\x1f\x7f", "\u00e4\u20ac\U0001f512", "\xff", "a\xc3", "\xed\xa0\x80", "12345678\"", "1234567\xe2\x82"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, query []byte) {
		event := &audit.DatabaseQuery{Query: query, Parameters: []audit.Parameter{{Value: query}, {Value: query, Binary: true}, {Null: true}}}
		line, err := newChain(t).Append(nil, event, noon)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := audit.Parse(line); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		var got struct {
			Query           *string   `json:"db_query"`
			QueryExact      []byte    `json:"db_query_base64"`
			Parameters      []*string `json:"db_query_parameters"`
			ParametersExact []*[]byte `json:"db_query_parameters_base64"`
			Binary          []int     `json:"db_query_parameters_binary"`
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if valid := utf8.Valid(query); valid != (got.QueryExact == nil) || valid != (got.ParametersExact == nil) {
			t.Fatalf("exact bytes present: %v, text valid: %v", got.QueryExact != nil, valid)
		} else if valid && (*got.Query != string(query) || *got.Parameters[0] != string(query)) {
			t.Fatalf("%q became %q", query, *got.Query)
		} else if !valid && (!bytes.Equal(got.QueryExact, query) || !bytes.Equal(*got.ParametersExact[0], query)) {
			t.Fatalf("%q became %q", query, got.QueryExact)
		}
		if *got.Parameters[1] != base64.StdEncoding.EncodeToString(query) || len(got.Binary) != 1 || got.Binary[0] != 1 || got.Parameters[2] != nil {
			t.Fatalf("parameters: %s", line)
		}
		if got := audit.Quote(string(query)); !bytes.Contains(line, append(append([]byte(`"db_query":"`), got...), '"')) {
			t.Fatalf("quoted as %q in %s", got, line)
		}
	})
}
