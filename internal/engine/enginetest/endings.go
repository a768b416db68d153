package enginetest

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/fault"
)

// busy starts a command that the server does not answer before release is called, and returns when the
// server has it.
func (s *stage) busy(t *testing.T, c Client) (result <-chan error, release func()) {
	t.Helper()
	arrived, held := make(chan struct{}), make(chan struct{})
	s.server.Watch(func(string) {
		close(arrived)
		<-held
	})
	answer := make(chan error, 1)
	ctx := patience(t)
	go func() { answer <- c.Do(ctx, "a long command") }()
	select {
	case <-arrived:
	case <-time.After(Patience):
		t.Fatal("the command does not arrive")
	}
	s.server.Watch(nil)
	return answer, sync.OnceFunc(func() { close(held) })
}

func clientVanishes(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	answer, release := s.busy(t, c)
	defer release()
	if err := c.Abandon(); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err == nil {
		t.Error("an answer came to a client that has gone")
	}
	v := a.Visit(t, 0)
	if err := v.Wait(t); err == nil {
		t.Error("the engine returned no error")
	}
	ends(t, v)
}

func serverVanishes(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	answer, release := s.busy(t, c)
	defer release()
	s.server.Drop()
	s.wantRefusal(t, <-answer, "the database closed the connection")
	v := a.Visit(t, 0)
	if err := v.Wait(t); !fault.Is(err, fault.ConnectionProblem) {
		t.Errorf("the engine returned %v", err)
	}
	if end := ends(t, v); end.Text("error") == "" {
		t.Errorf("end: %v", end.Fields)
	}
}

var errLocked = fault.New(fault.AccessDenied, "your account was locked; ask an administrator")

func (s *stage) locked(t *testing.T, v *Visit, err error) {
	t.Helper()
	s.wantRefusal(t, err, "your account was locked; ask an administrator")
	if err := v.Wait(t); !errors.Is(err, errLocked) {
		t.Errorf("the engine returned %v, not the cause", err)
	}
	ends(t, v)
}

func lockedIdle(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	if err := c.Do(patience(t), "command"); err != nil {
		t.Fatal(err)
	}
	v := a.Visit(t, 0)
	v.End(errLocked)
	// The end takes a moment to arrive, and what comes before it is answered.
	if s.Farewell != "" {
		v.Reach(t, s.Farewell)
	} else {
		_ = v.Wait(t)
	}
	s.locked(t, v, c.Do(patience(t), "another"))
}

func lockedBusy(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	answer, release := s.busy(t, c)
	defer release()
	v := a.Visit(t, 0)
	v.End(errLocked)
	s.locked(t, v, <-answer)
}

func silentClient(t *testing.T, s *stage) {
	a := s.agent(t)
	conn, err := net.Dial("tcp", a.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	v := a.Visit(t, 0)
	v.End(errLocked)
	if err := v.Wait(t); !errors.Is(err, errLocked) {
		t.Errorf("the engine returned %v, not the cause", err)
	}
}

func stalls(t *testing.T, s *stage) {
	a := s.agent(t, func(cfg *Config) { cfg.Engine = s.Hasty() })
	c := s.connect(t, a)
	const why = "less than 1 MiB of a large message came from the client in 1s"
	s.wantRefusal(t, c.Stall(patience(t)), why)
	v := a.Visit(t, 0)
	if err := v.Wait(t); !fault.Is(err, fault.LimitExceeded) || !strings.Contains(err.Error(), why) {
		t.Errorf("the engine returned %v", err)
	}
	if end := ends(t, v); !strings.Contains(end.Text("error"), why) {
		t.Errorf("recorded is the end %v", end.Fields)
	}
}

func panicsAnswering(t *testing.T, s *stage) {
	a := s.agent(t)
	unlucky, other := s.connect(t, a), s.connect(t, a)
	v := a.Visit(t, 0)
	var once sync.Once // what an engine has the server do at the session's end is no command of the client
	s.server.Watch(func(string) { once.Do(v.Journal.Burst) })
	if err := unlucky.Do(patience(t), "a command"); err == nil {
		t.Error("the command was answered")
	}
	s.server.Watch(nil)
	if err := v.Wait(t); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("the engine returned %v", err)
	}
	ends(t, v)
	if err := other.Do(patience(t), "another command"); err != nil {
		t.Errorf("the other visit ended too: %v", err)
	}
}

func panics(t *testing.T, s *stage) {
	a := s.agent(t)
	unlucky, other := s.connect(t, a), s.connect(t, a)
	v := a.Visit(t, 0)
	v.Journal.Burst()
	if err := unlucky.Do(patience(t), "a command"); err == nil {
		t.Error("the command was answered")
	}
	if err := v.Wait(t); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("the engine returned %v", err)
	}
	ends(t, v)
	if err := other.Do(patience(t), "another command"); err != nil {
		t.Errorf("the other visit ended too: %v", err)
	}
}
