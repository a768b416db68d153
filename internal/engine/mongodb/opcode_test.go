package mongodb_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"testing"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb/mongotest"
)

// hostile are messages of which a parser that is not the server's own could miss the command: each opcode with each kind of
// section, and compressed ones whose sizes, compressors and contents do not fit together. All are about the database secret.
func hostile(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	body := marshal(t, in("secret", e("find", "c")))
	framed := func(op int32, rest []byte) []byte { return append(header(int32(16+len(rest)), op), rest...) }
	for _, op := range []int32{0, 1, 1000, 2001, 2002, 2003, 2004, 2005, 2006, 2007, 2008, 2009, 2010, 2011, 2012, 2013, 2014, 2015} {
		for _, kind := range []byte{0, 1, 2, 3, 255} {
			section := append([]byte{kind}, body...)
			if kind == 1 {
				section = sequence(t, "documents", in("secret", e("find", "c")))
			}
			all[fmt.Sprintf("opcode %d with a section of kind %d", op, kind)] = framed(op, append(make([]byte, 4), section...))
		}
	}
	plain := message(t, 7, 0, in("secret", e("find", "c")))[16:]
	var deflated bytes.Buffer
	z := zlib.NewWriter(&deflated)
	_, _ = z.Write(plain)
	_ = z.Close()
	for _, original := range []int32{2013, 2012, 2004, 2002} { // 2012 within 2012 is nested
		for compressor, content := range map[byte][]byte{0: plain, 1: plain, 2: deflated.Bytes(), 3: plain, 99: plain, 255: nil} {
			for _, size := range []int32{int32(len(plain)), 0, 1, -1, 1<<31 - 1} {
				rest := binary.LittleEndian.AppendUint32(nil, uint32(original))
				rest = append(binary.LittleEndian.AppendUint32(rest, uint32(size)), compressor)
				all[fmt.Sprintf("%d, compressed by %d, of %d bytes", original, compressor, size)] = framed(2012, append(rest, content...))
			}
		}
	}
	return all
}

// TestNothingIsHiddenInMessages sends hostile messages as the first of a connection, and after a login: none reaches the
// server, and each is in the record once.
func TestNothingIsHiddenInMessages(t *testing.T) {
	t.Parallel()
	agent, server := small(t, mongotest.Options{}, func(c *enginetest.Config) {
		c.Roles = []string{ordersOnly}
	})
	visits := 0
	for name, message := range hostile(t) {
		for _, first := range []bool{true, false} {
			c := connectRaw(t, agent)
			if !first {
				if _, err := c.run(patience(t), hello()); err != nil {
					t.Fatal(err)
				}
			}
			write(t, c, message)
			half(t, c)
			v := agent.Visit(t, visits)
			visits++
			_ = v.Wait(t) // how it ends is seen by what is recorded
			if n := len(v.Journal.Events("db.session.malformed_packet", "db.session.query.failed")); n != 1 {
				t.Errorf("%s, first: %t: %d events", name, first, n)
			}
		}
	}
	for _, m := range server.Seen() {
		t.Errorf("the server has seen %s", m.JSON())
	}
}

// half says that the client sends no more, and goes on reading to the end.
func half(t *testing.T, c *rawClient) {
	t.Helper()
	if err := c.conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	deadline, _ := patience(t).Deadline()
	if err := c.conn.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	var rest bytes.Buffer
	_, _ = rest.ReadFrom(c.conn) // a connection that is broken off ends too
}
