package postgres_test

import (
	"bytes"
	"io"
	"net"
	"testing"

	"sallyport/internal/engine/enginetest"
)

// BenchmarkExtended sends what drivers send for one statement, in one write.
func BenchmarkExtended(b *testing.B) {
	const (
		bind = "\x00s\x00\x00\x01\x00\x01\x00\x01\x00\x00\x00\x04\x00\x00\x30\x39\x00\x00"
		run  = "\x00\x00\x00\x00\x00"
	)
	parse := func(name string) []byte {
		return frame('P', name+"\x00select abalance from pgbench_accounts where aid = $1\x00\x00\x01\x00\x00\x00\x17")
	}
	unnamed := append([]byte("\x00"), bind[2:]...)
	rows := bytes.Join([][]byte{frame('2', ""), frame('D', "\x00\x01\x00\x00\x00\x0512345"), frame('C', "SELECT 1\x00"), frame('Z', "I")}, nil)
	for name, c := range map[string]struct{ first, firstAnswer, question, answer []byte }{
		"unnamed": {nil, nil,
			bytes.Join([][]byte{parse(""), frame('B', string(unnamed)), frame('E', run), frame('S', "")}, nil), append(frame('1', ""), rows...)},
		"named": {append(parse("s"), frame('S', "")...), append(frame('1', ""), frame('Z', "I")...),
			bytes.Join([][]byte{frame('B', bind), frame('E', run), frame('S', "")}, nil), rows},
	} {
		b.Run(name, func(b *testing.B) {
			client, server := ways["relayed"](b)
			if c.first != nil {
				once(b, client, server, c.first, c.firstAnswer)
			}
			enginetest.Exchange(b, client, server, c.question, c.answer)
		})
	}
}

// once asks one question, which the server answers.
func once(b *testing.B, client, server net.Conn, question, answer []byte) {
	b.Helper()
	for _, step := range []struct {
		from, to net.Conn
		message  []byte
	}{{client, server, question}, {server, client, answer}} {
		if _, err := step.from.Write(step.message); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(step.to, make([]byte, len(step.message))); err != nil {
			b.Fatal(err)
		}
	}
}
