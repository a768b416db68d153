package postgres_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/engine/enginetest"
)

// model is a server that keeps PostgreSQL's rules about the order of messages, and does what is written in the
// statements' own texts.
type model struct {
	*pgproto3.Backend
	statements map[string]string
	portals    map[string]string
	skipping   bool
	executed   []string // each with how it ended
}

// serve answers until the client says goodbye.
func (m *model) serve() {
	for {
		message, err := m.Receive()
		if err != nil {
			return
		}
		if _, ok := message.(*pgproto3.Terminate); ok {
			return
		}
		if _, ok := message.(*pgproto3.Sync); m.skipping && !ok {
			continue
		}
		m.answer(message)
		if err := m.Flush(); err != nil {
			return
		}
	}
}

func (m *model) answer(message pgproto3.FrontendMessage) {
	switch f := message.(type) {
	case *pgproto3.Query:
		delete(m.statements, "")
		m.Send(&pgproto3.RowDescription{})
		m.run(f.String, "simple")
		m.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	case *pgproto3.Parse:
		if f.Name == "" {
			delete(m.statements, "")
		}
		if _, taken := m.statements[f.Name]; taken || strings.Contains(f.Query, "unparsable") {
			m.fail("42P05")
			return
		}
		m.statements[f.Name] = f.Query
		m.Send(&pgproto3.ParseComplete{})
	case *pgproto3.Bind:
		text, known := m.statements[f.PreparedStatement]
		if !known || strings.Contains(text, "unbindable") {
			m.fail("26000")
			return
		}
		m.portals[f.DestinationPortal] = text
		m.Send(&pgproto3.BindComplete{})
	case *pgproto3.Describe:
		m.Send(&pgproto3.ParameterDescription{})
		m.Send(&pgproto3.NoData{})
	case *pgproto3.Execute:
		if text, known := m.portals[f.Portal]; known {
			m.skipping = !m.run(text, "extended")
		} else {
			m.fail("34000")
		}
	case *pgproto3.Close:
		if f.ObjectType == 'S' {
			delete(m.statements, f.Name)
		} else {
			delete(m.portals, f.Name)
		}
		m.Send(&pgproto3.CloseComplete{})
	case *pgproto3.Sync:
		m.skipping = false
		clear(m.portals)
		m.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	}
}

// fail ends a message of the extended protocol.
func (m *model) fail(state string) {
	m.Send(&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: state, Message: "model"})
	m.skipping = true
}

// run executes a text and notes how it went.
func (m *model) run(text, mode string) (ok bool) {
	ok = !strings.Contains(text, "failing")
	if strings.Contains(text, "copy in") {
		m.Send(&pgproto3.CopyInResponse{})
		_ = m.Flush()
		ok = m.copyIn() && ok
	} else if strings.Contains(text, "copy out") {
		m.Send(&pgproto3.CopyOutResponse{})
		m.Send(&pgproto3.CopyData{Data: []byte("data")})
		if ok {
			m.Send(&pgproto3.CopyDone{})
		}
	} else {
		m.Send(&pgproto3.DataRow{})
	}
	m.executed = append(m.executed, fmt.Sprintf("%s %v", text, ok))
	if ok {
		m.Send(&pgproto3.CommandComplete{CommandTag: []byte("DONE 1")})
	} else {
		m.Send(&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "22012", Message: mode})
	}
	return ok
}

// copyIn reads data up to its end. The server ignores Syncs and Flushes meanwhile.
func (m *model) copyIn() (ok bool) {
	for {
		message, err := m.Receive()
		if err != nil {
			return false
		}
		switch message.(type) {
		case *pgproto3.CopyDone:
			return true
		case *pgproto3.CopyFail:
			return false
		}
	}
}

// script turns bytes into messages of a client that knows the rules: what belongs to a COPY follows it.
func script(data []byte) (messages []pgproto3.FrontendMessage) {
	texts := []string{"plain", "failing", "copy in", "copy in failing", "copy out", "copy out failing", "unparsable", "unbindable"}
	add := func(more ...pgproto3.FrontendMessage) { messages = append(messages, more...) }
	copied := func(text string, b byte) {
		if !strings.Contains(text, "copy in") {
			return
		}
		if b&1 != 0 {
			add(&pgproto3.Sync{})
		}
		add(&pgproto3.CopyData{Data: []byte("data")})
		if b&2 != 0 {
			add(&pgproto3.CopyFail{})
		} else {
			add(&pgproto3.CopyDone{})
		}
	}
	for i, b := range data {
		name := []string{"", "a", "b"}[int(b>>3)%3]
		text := fmt.Sprint(texts[int(b>>5)%len(texts)], " ", i)
		switch b % 8 {
		case 0:
			add(&pgproto3.Parse{Name: name, Query: withoutCopy(text)})
		case 1:
			add(&pgproto3.Query{String: withoutCopy(text)})
		case 2, 3:
			add(&pgproto3.Bind{PreparedStatement: name}, &pgproto3.Execute{})
		case 4:
			add(&pgproto3.Sync{})
		case 5:
			add(&pgproto3.Close{ObjectType: 'S', Name: name})
		case 6:
			add(&pgproto3.Sync{}, &pgproto3.Query{String: text})
			copied(text, b>>3)
		case 7:
			add(&pgproto3.Sync{}, &pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{})
			copied(text, b>>3)
			add(&pgproto3.Sync{}, &pgproto3.Parse{Query: withoutCopy(text)}) // so that no later Bind begins it again
		}
	}
	return append(messages, &pgproto3.Sync{}, &pgproto3.Terminate{})
}

// withoutCopy is for places where it depends on what came before whether the COPY begins.
func withoutCopy(text string) string { return strings.ReplaceAll(text, "copy in", "plain") }

// FuzzSequence sends messages in any order, many of them ahead of their answers, to a server that keeps the
// rules, and compares what was recorded with what that server has executed.
func FuzzSequence(f *testing.F) {
	f.Add([]byte{0, 8, 16, 2, 10, 18, 4, 1, 33, 65})
	f.Add([]byte{7, 71, 79, 87, 103, 6, 70, 78, 102, 134, 166})
	f.Add([]byte("a rather long text, which stands for many messages: PpQqRrSsTt"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 200 {
			return
		}
		messages := script(data)
		m := &model{statements: make(map[string]string), portals: make(map[string]string)}
		var sent []byte
		for _, message := range messages {
			sent, _ = message.Encode(sent)
		}
		s, journal := visitWithout(t)
		ours, client := net.Pipe()
		theirs, server := net.Pipe()
		m.Backend = pgproto3.NewBackend(server, server)
		go func() {
			m.serve()
			_ = server.Close()
		}()
		received := collect(client)
		written := make(chan struct{})
		go func() {
			defer close(written)
			_, _ = client.Write(sent)
		}()
		err := newEngine().Relay(t.Context(), ours, theirs, s)
		_ = ours.Close()
		_ = theirs.Close()
		<-received
		<-written
		if err != nil {
			t.Fatalf("%v: the relay ended with %v", describeAll(messages), err)
		}
		if got := modelled(journal); !slices.Equal(got, m.executed) {
			t.Fatalf("%v:\nrecorded %q\nexecuted %q", describeAll(messages), got, m.executed)
		}
	})
}

func describeAll(messages []pgproto3.FrontendMessage) string {
	var all []string
	for _, message := range messages {
		all = append(all, fmt.Sprintf("%T%+v", message, message)[len("*pgproto3."):])
	}
	return strings.Join(all, " ")
}

// modelled returns what was recorded as executed, in the model's words.
func modelled(journal *enginetest.Journal) (executed []string) {
	texts := make(map[int64]string)
	order := make(map[int64]int)
	var all []string
	for _, event := range journal.Events("db.session.query", "db.session.result") {
		if event.Type == "db.session.query" {
			texts[event.Number("ei")] = event.Text("db_query")
			order[event.Number("ei")] = len(all)
			all = append(all, "")
			continue
		}
		index := event.Number("statement_ei")
		switch event.Text("sqlstate") {
		case "26000", "34000", "42P05":
			continue
		}
		if !strings.HasPrefix(event.Text("error"), "not executed") {
			all[order[index]] = fmt.Sprintf("%s %v", texts[index], event.Flag("success"))
		}
	}
	return slices.DeleteFunc(all, func(text string) bool { return text == "" })
}
