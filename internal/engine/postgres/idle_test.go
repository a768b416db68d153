package postgres_test

import (
	"encoding/binary"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres/pgtest"
)

// TestIdleSessionsKeepNothingOfLargeMessages once those are answered.
func TestIdleSessionsKeepNothingOfLargeMessages(t *testing.T) {
	const size = 32 << 20
	value := binary.BigEndian.AppendUint32(nil, size)
	for name, c := range map[string]struct {
		typ    byte
		head   string
		filler string
		tail   string
	}{
		"a statement":            {'Q', "", "x", "\x00"},
		"a call with a value":    {'F', "\x00\x00\x00\x01\x00\x00\x00\x01" + string(value), "x", "\x00\x00"},
		"a call with many nulls": {'F', "\x00\x00\x00\x01\x00\x00\xff\xff", "", strings.Repeat("\xff\xff\xff\xff", 0xffff) + "\x00\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			message := frame(c.typ, c.head+strings.Repeat(c.filler, size)+c.tail)
			hold, total := make(chan struct{}), int64(len(message))
			defer close(hold)
			agent, _ := small(t, pgtest.Options{Relay: func(server *pgtest.Conn) {
				_, _ = io.CopyN(io.Discard, server.Conn, total)
				server.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
				_ = server.Backend.Flush()
				<-hold
			}})
			w := logIn(t, agent)
			agent.Visit(t, 0).Journal.Forget()
			before := enginetest.LiveHeap()
			w.write(message...)
			w.expect("ReadyForQuery")
			enginetest.AwaitHeap(t, before-total+total/4)
			runtime.KeepAlive(agent)
		})
	}
}

// TestNumbersThatAreLongAsText are recorded as they came when there are many: each takes 12 bytes, and 16,385 as text.
func TestNumbersThatAreLongAsText(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, pgtest.Options{})
	w := logIn(t, agent)
	const many = 2000
	zeros := []byte("\x00\x00\x00\x00\x00\x00\x3f\xff") // 0.000… with 16,383 decimals
	types, values := make([]uint32, many), make([][]byte, many)
	for i := range many {
		types[i], values[i] = 1700, zeros
	}
	array := binary.BigEndian.AppendUint32([]byte("\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06\xa4"), many)
	array = append(array, "\x00\x00\x00\x01"...)
	for range many {
		array = append(append(array, "\x00\x00\x00\x08"...), zeros...)
	}
	for name, c := range map[string]struct {
		types  []uint32
		values [][]byte
	}{"values": {types, values}, "one array": {[]uint32{1231}, [][]byte{array}}} {
		w.send(&pgproto3.Parse{Query: name, ParameterOIDs: c.types}, &pgproto3.Bind{ParameterFormatCodes: []int16{1}, Parameters: c.values}, &pgproto3.Execute{}, &pgproto3.Sync{})
		_ = w.untilReady()
		var size int
		for _, e := range agent.Visit(t, 0).Journal.Events("db.session.query") {
			if e.Text("db_query") == name {
				parameters, _ := e.Fields["db_query_parameters"].([]any)
				for _, p := range parameters {
					text, _ := p.(string)
					size += len(text)
				}
			}
		}
		if most := 64<<10 + 5*many*12 + 16400; size == 0 || size > most {
			t.Errorf("%s: recorded with %d bytes, want at most %d", name, size, most)
		}
	}
}
