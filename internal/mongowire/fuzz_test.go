package mongowire_test

import (
	"bytes"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/mongowire"
)

// FuzzMsg reads messages. What can be read is what MongoDB's own library reads, and its text is that of the library.
func FuzzMsg(f *testing.F) {
	body := marshal(f, every)
	f.Add(mongowire.AppendMsg(nil, 1, 0, 0, body))
	f.Add(mongowire.AppendMsg(nil, 1, 0, mongowire.MoreToCome, marshal(f, bson.D{{Key: "insert", Value: "c"}, {Key: "$db", Value: "x"}})))
	f.Add(mongowire.AppendMsg(nil, 1, 0, 0, marshal(f, bson.D{{Key: "insert", Value: "\x01\"\n\xff many bytes that are no text \x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"}})))
	f.Add(append(make([]byte, 20), []byte("\x01\x0e\x00\x00\x00docs\x00\x05\x00\x00\x00\x00")...))
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) < mongowire.HeaderSize {
			return
		}
		var m mongowire.Msg
		if err := m.Parse(message); err != nil {
			return
		}
		if n, most := len(m.AppendJSON(nil)), m.TextSize(); n > most {
			t.Fatalf("a text of %d bytes, where there should be at most %d", n, most)
		}
		if n, most := len(m.AppendLargeJSON(nil)), m.LargeTextSize(); n > most {
			t.Fatalf("a text of %d bytes within much else, where there should be at most %d", n, most)
		}
		documents := []mongowire.Document{m.Body}
		for _, s := range m.Sequences {
			s.Each(func(d mongowire.Document) { documents = append(documents, d) })
		}
		for _, d := range documents {
			if err := bson.Raw(d).Validate(); err != nil {
				t.Fatalf("the library does not read %x: %v", d, err)
			}
			n := 0
			for range d.Elements() {
				n++
			}
			elements, err := bson.Raw(d).Elements()
			if err != nil || n != len(elements) {
				t.Fatalf("%d elements, and the library has %d (%v) in %x", n, len(elements), err, d)
			}
		}
	})
}

// FuzzQuery reads messages of old clients.
func FuzzQuery(f *testing.F) {
	d := marshal(f, bson.D{{Key: "isMaster", Value: 1}})
	f.Add(append(append(make([]byte, 20), []byte("admin.$cmd\x00\x00\x00\x00\x00\xff\xff\xff\xff")...), d...))
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) < mongowire.HeaderSize {
			return
		}
		if q, err := mongowire.ParseQuery(message); err == nil {
			mongowire.AppendJSON(nil, q.Document)
		}
	})
}

// FuzzAnswer feeds answers whole and in two pieces, which makes no difference.
func FuzzAnswer(f *testing.F) {
	for _, c := range answers {
		f.Add([]byte(marshal(f, c.body)), uint16(7))
	}
	f.Fuzz(func(t *testing.T, d []byte, at uint16) {
		var whole, parts mongowire.Answer
		wholeErr := whole.Feed(d)
		cut := min(int(at), len(d))
		partsErr := parts.Feed(d[:cut])
		if partsErr == nil {
			partsErr = parts.Feed(d[cut:])
		}
		if (wholeErr == nil) != (partsErr == nil) {
			t.Fatalf("whole: %v, in parts: %v", wholeErr, partsErr)
		}
		if wholeErr != nil {
			return
		}
		if whole.Done() != parts.Done() || show(whole.Outcome) != show(parts.Outcome) {
			t.Fatalf("whole: %s, in parts: %s", show(whole.Outcome), show(parts.Outcome))
		}
		raw := bson.Raw(d)
		if whole.Done() && raw.Validate() == nil && bytes.Count(d, []byte("\x00")) > 0 {
			if ok, err := raw.LookupErr("ok"); err == nil && ok.Type == bson.TypeInt32 && whole.OK != (ok.Int32() != 0) && bytes.Count(d, []byte("ok\x00")) == 1 {
				t.Fatalf("ok is %v in %x", whole.OK, d)
			}
		}
	})
}

// FuzzDecimal writes numbers as MongoDB's own library does.
func FuzzDecimal(f *testing.F) {
	for _, n := range [][2]uint64{{0x3040000000000000, 0}, {0x3040000000000000, 12345}, {0xb03e000000000000, 12345}, {0x5ffe314dc6448d93, 0x38c15b0a00000000}, {0, 1}, {0x7800000000000000, 0}, {0xf800000000000000, 0}, {0x7c00000000000000, 0}, {0x6c11000000000000, 7}, {0x3036000000000000, 12345}, {0x302e000000000000, 1}, {0x3042000000000000, 1}} {
		f.Add(n[0], n[1])
	}
	f.Fuzz(func(t *testing.T, high, low uint64) {
		got := string(mongowire.AppendJSON(nil, marshal(t, bson.D{{Key: "n", Value: bson.NewDecimal128(high, low)}})))
		if want := `{"n":{"$numberDecimal":"` + bson.NewDecimal128(high, low).String() + `"}}`; got != want {
			t.Fatalf("%x %x is %s, want %s", high, low, got, want)
		}
	})
}
