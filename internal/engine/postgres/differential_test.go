package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/pgserver"
)

// TestLogAgainstTheServers sends random pipelines, in which much goes wrong, and compares what was recorded as
// executed with what the server itself has logged: the same texts, in the same order, under the same names.
func TestLogAgainstTheServers(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	agent := front(t, server)
	const sessions = 8
	for i := range sessions {
		t.Run(fmt.Sprint("session ", i), func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano()) + uint64(i)
			t.Logf("seed %d", seed)
			w := logIn(t, agent)
			s := &scribbler{rand: rand.New(rand.NewPCG(seed, 0)), wire: w}
			s.scribble(400)
			v := visitOf(t, agent, w)
			if err := v.Wait(t); err != nil {
				t.Fatal(err)
			}
			pid := v.Journal.Events("db.session.end")[0].Number("postgres_pid")
			recorded, logged := executed(t, v), loggedBy(server.Log(t), pid)
			for n := range max(len(recorded), len(logged)) {
				if n >= len(recorded) || n >= len(logged) || recorded[n] != logged[n] {
					t.Fatalf("from statement %d on, recorded was\n%s\nthe server has logged\n%s", n, extract(recorded, n), extract(logged, n))
				}
			}
			if len(logged) < 40 {
				t.Fatalf("only %d statements were executed", len(logged))
			}
		})
	}
}

func extract(texts []string, n int) string {
	return strings.Join(texts[min(n, len(texts)):min(n+5, len(texts))], "\n")
}

func visitOf(t *testing.T, agent *enginetest.Agent, w *wire) *enginetest.Visit {
	t.Helper()
	for _, v := range agent.Visits() {
		if v.Session.ClientAddr() == w.LocalAddr().String() {
			return v
		}
	}
	t.Fatal("no session of this connection")
	return nil
}

// scribbler sends messages at random.
type scribbler struct {
	*wire
	rand *rand.Rand
	next int
}

func (s *scribbler) scribble(steps int) {
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s.untilReady() != "end" {
		}
	}()
	for range steps {
		s.step()
		if s.rand.IntN(3) == 0 {
			s.Send(&pgproto3.Sync{})
		}
		if s.rand.IntN(4) == 0 {
			s.flush()
		}
	}
	s.send(&pgproto3.Sync{}, &pgproto3.Terminate{})
	<-read
}

func (s *scribbler) text() string {
	s.next++
	if s.rand.IntN(12) == 0 {
		return fmt.Sprintf("select %d/(random()*0)::int", s.next) // fails when it runs, not when it is planned
	}
	return fmt.Sprintf("select %d", s.next)
}

func (s *scribbler) name() string {
	if n := s.rand.IntN(4); n > 0 {
		return fmt.Sprint("s", n)
	}
	return ""
}

func (s *scribbler) step() {
	name := s.name()
	switch s.rand.IntN(10) {
	case 0:
		s.Send(&pgproto3.Query{String: s.text()})
	case 1:
		s.Send(&pgproto3.Query{String: s.text() + "; " + s.text()})
	case 2, 3:
		s.Send(&pgproto3.Parse{Name: name, Query: s.text()})
	case 4, 5:
		s.Send(&pgproto3.Bind{PreparedStatement: name})
		s.Send(&pgproto3.Execute{})
	case 6:
		s.Send(&pgproto3.Close{ObjectType: 'S', Name: name})
	case 7:
		s.Send(&pgproto3.Query{String: "deallocate s1"})
	case 8:
		s.Send(&pgproto3.Parse{Name: name, Query: "select wrong"})
		s.Send(&pgproto3.Describe{ObjectType: 'S', Name: name})
	case 9:
		s.Send(&pgproto3.Parse{Query: s.text()})
		s.Send(&pgproto3.Bind{DestinationPortal: "p"})
		s.Send(&pgproto3.Execute{Portal: "p"})
		s.Send(&pgproto3.Close{ObjectType: 'P', Name: "p"})
	}
}

// executed returns what was recorded as executed, in the words of the server's log.
func executed(t *testing.T, v *enginetest.Visit) []string {
	var all []string
	for _, o := range outcomes(t, v) {
		last := o.Result[len(o.Result)-1]
		switch last.Text("sqlstate") {
		case "26000", "34000", "42P05", "42703": // refused before it was executed
			if o.Query.Text("db_query") != "deallocate s1" {
				continue
			}
		}
		if strings.HasPrefix(last.Text("error"), "not executed") {
			continue
		}
		all = append(all, inLog(o.Query))
	}
	return all
}

func inLog(query enginetest.Event) string {
	name, extended := query.Fields["statement_name"]
	portal := query.Text("portal_name")
	if !extended {
		name = "<unnamed>"
	}
	if portal != "" {
		return fmt.Sprintf("execute %v/%s: %s", name, portal, query.Text("db_query"))
	}
	return fmt.Sprintf("execute %v: %s", name, query.Text("db_query"))
}

var logLine = regexp.MustCompile(`(?m)^\[(\d+)\] \S+ LOG:  (?:statement: |(execute \S+: ))(.*)$`)

// loggedBy returns what a backend has logged. A simple query looks there like the unnamed statement here.
func loggedBy(log string, pid int64) []string {
	var all []string
	for _, match := range logLine.FindAllStringSubmatch(log, -1) {
		if match[1] != fmt.Sprint(pid) {
			continue
		}
		if match[2] == "" {
			match[2] = "execute <unnamed>: "
		}
		all = append(all, match[2]+match[3])
	}
	return slices.Clip(all)
}
