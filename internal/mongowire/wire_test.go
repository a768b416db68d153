package mongowire_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/mongowire"
)

// every is a document with a value of every type.
var every = bson.D{
	{Key: "double", Value: 1.5}, {Key: "whole", Value: 2.0}, {Key: "large", Value: 1e300}, {Key: "small", Value: -1e-7}, {Key: "nan", Value: math.NaN()}, {Key: "inf", Value: math.Inf(1)}, {Key: "-inf", Value: math.Inf(-1)},
	{Key: "text", Value: "a \"quoted\" \\ line\nwith\ttabs, \u0001, ünïcode, <html> & \u2028"}, {Key: "", Value: ""},
	{Key: "doc", Value: bson.D{{Key: "a", Value: bson.D{}}}}, {Key: "array", Value: bson.A{1, "two", bson.A{}, nil}},
	{Key: "binary", Value: bson.Binary{Subtype: 4, Data: []byte("0123456789abcdef")}}, {Key: "old binary", Value: bson.Binary{Subtype: 2, Data: []byte{1, 2}}}, {Key: "no binary", Value: bson.Binary{}},
	{Key: "undefined", Value: bson.Undefined{}}, {Key: "oid", Value: bson.ObjectID{1, 2, 3}}, {Key: "true", Value: true}, {Key: "false", Value: false},
	{Key: "date", Value: bson.NewDateTimeFromTime(time.Date(2026, 11, 25, 17, 0, 0, 120e6, time.UTC))}, {Key: "epoch", Value: bson.DateTime(0)}, {Key: "before", Value: bson.DateTime(-1)}, {Key: "far", Value: bson.DateTime(1 << 60)},
	{Key: "null", Value: nil}, {Key: "regex", Value: bson.Regex{Pattern: `^a"/b`, Options: "i"}}, {Key: "pointer", Value: bson.DBPointer{DB: "a.b", Pointer: bson.ObjectID{9}}},
	{Key: "code", Value: bson.JavaScript("f()")}, {Key: "symbol", Value: bson.Symbol("s")}, {Key: "scope", Value: bson.CodeWithScope{Code: "g()", Scope: bson.D{{Key: "x", Value: 1}}}},
	{Key: "int32", Value: int32(-7)}, {Key: "timestamp", Value: bson.Timestamp{T: 7, I: 9}}, {Key: "int64", Value: int64(math.MaxInt64)},
	{Key: "decimal", Value: bson.NewDecimal128(0x3040000000000000, 12345)}, {Key: "max", Value: bson.MaxKey{}}, {Key: "min", Value: bson.MinKey{}},
}

func marshal(t testing.TB, v any) mongowire.Document {
	t.Helper()
	b, err := bson.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestJSONIsThatOfTheDriver compares the text of every type with that of MongoDB's own library, apart from escapes that
// JSON does not need.
func TestJSONIsThatOfTheDriver(t *testing.T) {
	t.Parallel()
	for _, e := range every {
		d := marshal(t, bson.D{e})
		if err := d.Check(); err != nil {
			t.Fatalf("%s: %v", e.Key, err)
		}
		got := string(mongowire.AppendJSON(nil, d))
		want, err := bson.MarshalExtJSON(bson.Raw(d), false, false)
		if err != nil {
			t.Fatal(err)
		}
		if plain := strings.ReplaceAll(string(want), "\\u2028", "\u2028"); got != plain {
			t.Errorf("%s is\n%s, want\n%s", e.Key, got, plain)
		}
	}
}

// negative is a document with a value of the type, whose length is below zero.
func negative(kind byte, length int32) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{0, 0, 0, 0, kind, 'a', 0}, uint32(length))
	b = append(b, 0)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	return b
}

// TestTextSizes compares bounds of texts with the texts: no text is longer, and none is given much more room than it takes.
func TestTextSizes(t *testing.T) {
	t.Parallel()
	for _, e := range every {
		for name, body := range map[string]bson.D{"once": {e}, "many times": {{Key: "a", Value: slices.Repeat(bson.A{e.Value}, 1000)}}} {
			var m mongowire.Msg
			if err := m.Parse(mongowire.AppendMsg(nil, 1, 0, 0, marshal(t, body))); err != nil {
				t.Fatal(err)
			}
			if n, most := len(m.AppendJSON(nil)), m.TextSize(); n > most || most > 8*n+64 {
				t.Errorf("%s, %s: a text of %d bytes, and a bound of %d", e.Key, name, n, most)
			}
			if n, most := len(m.AppendLargeJSON(nil)), m.LargeTextSize(); n > most {
				t.Errorf("%s, %s: a text of %d bytes within much else, and a bound of %d", e.Key, name, n, most)
			}
		}
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	body := marshal(t, bson.D{{Key: "insert", Value: "c"}, {Key: "$db", Value: "x"}})
	doc := marshal(t, bson.D{{Key: "_id", Value: int32(1)}})
	section := func(name string, docs ...mongowire.Document) []byte {
		b := append([]byte(name), 0)
		for _, d := range docs {
			b = append(b, d...)
		}
		return append(binary.LittleEndian.AppendUint32([]byte{1}, uint32(4+len(b))), b...)
	}
	kind0 := append([]byte{0}, body...)
	message := func(flags uint32, sections ...[]byte) []byte {
		b := binary.LittleEndian.AppendUint32(make([]byte, 16), flags)
		b = append(b, bytes.Join(sections, nil)...)
		if flags&1 != 0 {
			binary.LittleEndian.PutUint32(b, uint32(len(b)+4))
			return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
		}
		binary.LittleEndian.PutUint32(b, uint32(len(b)))
		return b
	}
	broken := func(b []byte, at int, value byte) []byte {
		b = bytes.Clone(b)
		b[at] = value
		return b
	}
	checked := message(1, kind0)
	deep := marshal(t, bson.D{})
	for range 100 {
		deep = marshal(t, bson.D{{Key: "d", Value: bson.Raw(deep)}})
	}
	for name, c := range map[string]struct {
		message []byte
		text    string // empty when it cannot be read
	}{
		"a body":                             {message(0, kind0), `{"insert":"c","$db":"x"}`},
		"a body and a sequence":              {message(0, kind0, section("documents", doc, doc)), `{"insert":"c","$db":"x","documents":[{"_id":1},{"_id":1}]}`},
		"the sequence first":                 {message(0, section("documents", doc), kind0), `{"insert":"c","$db":"x","documents":[{"_id":1}]}`},
		"an empty sequence":                  {message(0, kind0, section("documents")), `{"insert":"c","$db":"x","documents":[]}`},
		"a checksum":                         {message(1, kind0), `{"insert":"c","$db":"x"}`},
		"exhaust and more":                   {message(1<<16|2, kind0), `{"insert":"c","$db":"x"}`},
		"a wrong checksum":                   {broken(checked, len(checked)-1, checked[len(checked)-1]^1), ""},
		"a flag that must be known":          {message(4, kind0), ""},
		"a flag that need not be known":      {message(1<<17, kind0), ""},
		"no body":                            {message(0, section("documents", doc)), ""},
		"two bodies":                         {message(0, kind0, kind0), ""},
		"two sequences of a name":            {message(0, kind0, section("a"), section("a")), ""},
		"nine sequences":                     {message(0, kind0, section("a"), section("b"), section("c"), section("d"), section("e"), section("f"), section("g"), section("h"), section("i")), ""},
		"a section of kind 2":                {message(0, append([]byte{2}, body...)), ""},
		"nothing":                            {message(0), ""},
		"a body cut off":                     {message(0, kind0[:len(kind0)-3]), ""},
		"a sequence without an end":          {message(0, kind0, []byte{1, 0xff, 0xff, 0xff, 0x7f, 'a', 0}), ""},
		"a sequence of negative length":      {message(0, kind0, []byte{1, 0xff, 0xff, 0xff, 0xff, 'a', 0}), ""},
		"a sequence without a name":          {message(0, kind0, []byte{1, 5, 0, 0, 0, 'a'}), ""},
		"half a document in a sequence":      {message(0, kind0, section("documents", doc[:7])), ""},
		"documents 101 deep":                 {message(0, append([]byte{0}, deep...)), ""},
		"a text longer than its document":    {message(0, broken(kind0, 13, 0x7f)), ""},
		"a type that does not exist":         {message(0, broken(kind0, 5, 0x66)), ""},
		"a document of negative length":      {message(0, broken(kind0, 4, 0xff)), ""},
		"bytes of negative length":           {message(0, append([]byte{0}, negative(0x05, -1)...)), ""},
		"a text of negative length":          {message(0, append([]byte{0}, negative(0x02, -1)...)), ""},
		"a pointer of negative length":       {message(0, append([]byte{0}, negative(0x0c, -16)...)), ""},
		"code of negative length":            {message(0, append([]byte{0}, negative(0x0f, -1)...)), ""},
		"a document without its last byte":   {message(0, broken(kind0, len(kind0)-1, 1)), ""},
		"a text that does not end with zero": {message(0, broken(kind0, 18, 'x')), ""},
	} {
		var m mongowire.Msg
		err := m.Parse(c.message)
		if (err == nil) != (c.text != "") {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			if got := string(m.AppendJSON(nil)); got != c.text {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
}

// answers are answers of servers, and what is to be found in them.
var answers = map[string]struct {
	body bson.D
	want string
}{
	"ok":               {bson.D{{Key: "ok", Value: 1.0}}, "ok"},
	"ok as a number":   {bson.D{{Key: "ok", Value: int32(1)}}, "ok"},
	"not ok":           {bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: "no such thing"}, {Key: "code", Value: int32(26)}, {Key: "codeName", Value: "NamespaceNotFound"}}, "26 NamespaceNotFound no such thing"},
	"an insert":        {bson.D{{Key: "n", Value: int32(3)}, {Key: "ok", Value: 1.0}}, "ok n=3"},
	"with errors":      {bson.D{{Key: "n", Value: int32(1)}, {Key: "writeErrors", Value: bson.A{bson.D{{Key: "errmsg", Value: "duplicate"}}, bson.D{{Key: "code", Value: 1}}}}, {Key: "ok", Value: 1.0}}, "ok n=1 errors=2"},
	"a concern":        {bson.D{{Key: "n", Value: int32(1)}, {Key: "writeConcernError", Value: bson.D{{Key: "errmsg", Value: "late"}}}, {Key: "ok", Value: 1.0}}, "ok n=1 concern"},
	"a cursor":         {bson.D{{Key: "cursor", Value: bson.D{{Key: "firstBatch", Value: bson.A{bson.D{{Key: "ok", Value: 0}, {Key: "n", Value: 9}}, bson.D{}, every}}, {Key: "id", Value: int64(77)}, {Key: "ns", Value: "a.b"}}}, {Key: "ok", Value: 1.0}}, "ok documents=3 cursor=77"},
	"more of it":       {bson.D{{Key: "cursor", Value: bson.D{{Key: "nextBatch", Value: bson.A{every}}, {Key: "id", Value: int64(0)}}}, {Key: "ok", Value: 1.0}}, "ok documents=1"},
	"values":           {bson.D{{Key: "values", Value: bson.A{1, "two", nil, bson.Regex{Pattern: "a", Options: "i"}}}, {Key: "ok", Value: 1.0}}, "ok documents=4"},
	"find and modify":  {bson.D{{Key: "lastErrorObject", Value: bson.D{{Key: "n", Value: int32(1)}, {Key: "updatedExisting", Value: true}}}, {Key: "value", Value: every}, {Key: "ok", Value: 1.0}}, "ok n=1"},
	"every type":       {append(bson.D{{Key: "ok", Value: true}}, every...), "ok"},
	"a long error":     {bson.D{{Key: "errmsg", Value: strings.Repeat("x", 100_000)}, {Key: "ok", Value: 0}}, "0  " + strings.Repeat("x", 4096)},
	"ok within others": {bson.D{{Key: "value", Value: bson.D{{Key: "ok", Value: 1}}}, {Key: "cursor", Value: bson.D{{Key: "ok", Value: 1}}}}, "0  "},
}

func show(o mongowire.Outcome) string {
	trim := func(b []byte) string { return string(bytes.TrimRight(b, "\x00")) }
	if !o.OK {
		return fmt.Sprintf("%d %s %s", o.Code, trim(o.CodeName), trim(o.Message))
	}
	s := "ok"
	for _, field := range []struct {
		name string
		n    int64
	}{{"n", o.N}, {"documents", o.Documents}, {"errors", o.WriteErrors}, {"cursor", o.CursorID}} {
		if field.n != 0 {
			s += fmt.Sprintf(" %s=%d", field.name, field.n)
		}
	}
	if o.Concern {
		s += " concern"
	}
	return s
}

// TestAnswers feeds answers in pieces of all sizes.
func TestAnswers(t *testing.T) {
	t.Parallel()
	var a mongowire.Answer
	for name, c := range answers {
		d := marshal(t, c.body)
		for size := 1; size <= len(d); size = size*3/2 + 1 {
			a.Reset()
			for rest := []byte(d); len(rest) > 0; {
				n := min(size, len(rest))
				if err := a.Feed(rest[:n]); err != nil {
					t.Fatalf("%s in pieces of %d: %v", name, size, err)
				}
				rest = rest[n:]
				if a.Done() != (len(rest) == 0) {
					t.Fatalf("%s in pieces of %d: done with %d bytes left: %v", name, size, len(rest), a.Done())
				}
			}
			if got := show(a.Outcome); got != c.want {
				t.Errorf("%s in pieces of %d: %s, want %s", name, size, got, c.want)
			}
		}
		a.Reset()
		if err := a.Feed(append(bytes.Clone(d), 0)); err == nil {
			t.Errorf("%s with a byte behind it was taken", name)
		}
	}
}

func TestAnswersThatLie(t *testing.T) {
	t.Parallel()
	cursor := marshal(t, bson.D{{Key: "cursor", Value: bson.D{{Key: "firstBatch", Value: bson.A{bson.D{{Key: "a", Value: 1}}}}}}, {Key: "ok", Value: 1}})
	at := bytes.Index(cursor, []byte("firstBatch\x00")) + len("firstBatch\x00")
	with := func(at int, bytes ...byte) []byte {
		d := append([]byte(nil), cursor...)
		copy(d[at:], bytes)
		return d
	}
	for name, d := range map[string][]byte{
		"a document of no length":             {0, 0, 0, 0, 0},
		"a document of negative length":       {0xff, 0xff, 0xff, 0xff, 0},
		"a document of giant length":          {0xff, 0xff, 0xff, 0x7f, 0},
		"a batch longer than the cursor":      with(at, 0xff, 0xff, 0xff, 0),
		"a batch of negative length":          with(at, 0xff, 0xff, 0xff, 0xff),
		"a batch of no length":                with(at, 0, 0, 0, 0),
		"a batch that ends too early":         with(at+4, 0),
		"a document longer than the batch":    with(at+4+3, 0xff, 0xff, 0, 0),
		"a type that does not exist":          with(4, 0x66),
		"a text of negative length":           {30, 0, 0, 0, 2, 'a', 0, 0xf0, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		"a name without an end":               append([]byte{0, 0, 2, 0, 2}, bytes.Repeat([]byte("a"), 100_000)...),
		"a document that ends within a value": {12, 0, 0, 0, 0x10, 'a', 0, 1, 0, 0, 0, 1, 1},
	} {
		var a mongowire.Answer
		if err := a.Feed(d); err == nil {
			t.Errorf("%s was taken: %s", name, hex.EncodeToString(d[:min(len(d), 64)]))
		}
	}
}
