package enginetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func allowed(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	for i := range 3 {
		if err := c.Do(patience(t), fmt.Sprint("command ", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	v := a.Visit(t, 0)
	if err := v.Wait(t); err != nil {
		t.Fatalf("an ordinary goodbye returned %v", err)
	}
	start := v.Journal.Events("db.session.start")
	if len(start) != 1 || !start[0].Flag("success") || start[0].Text("db_user") != account || start[0].Text("db_name") != name {
		t.Errorf("start: %v", start)
	}
	if end := ends(t, v); end.Number("statements") != 3 || end.Number("bytes_sent") == 0 || end.Number("bytes_received") == 0 {
		t.Errorf("end: %v", end.Fields)
	}
}

func recordedFirst(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	v := a.Visit(t, 0)
	var seen []string
	s.server.Watch(func(command string) {
		seen = append(seen, command)
		if recorded := s.commands(v); !slices.Equal(recorded, seen) {
			t.Errorf("when the server saw %q, recorded were %q", seen, recorded)
		}
	})
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint("command ", i))
		if err := c.Do(patience(t), want[i]); err != nil {
			t.Fatal(err)
		}
	}
	s.server.Watch(nil)
	if !slices.Equal(seen, want) {
		t.Errorf("the server saw %q", seen)
	}
}

func cannotRecord(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	v := a.Visit(t, 0)
	if err := c.Do(patience(t), "recorded"); err != nil {
		t.Fatal(err)
	}
	s.server.Watch(func(command string) { t.Errorf("the server saw %q", command) })
	v.Journal.Fail(errors.New("the disk is full"))
	s.wantRefusal(t, c.Do(patience(t), "not recorded"), "audit is unavailable")
	if err := v.Wait(t); err == nil {
		t.Error("the engine returned no error")
	}
	s.server.Watch(nil)
}

func cannotRecordOutcome(t *testing.T, s *stage) {
	a := s.agent(t)
	c := s.connect(t, a)
	v := a.Visit(t, 0)
	s.server.Watch(func(string) { v.Journal.Fail(errors.New("the disk is full")) })
	s.wantRefusal(t, c.Do(patience(t), "a command whose outcome is not recorded"), "audit is unavailable")
	s.server.Watch(nil)
	if err := v.Wait(t); err == nil {
		t.Error("the engine returned no error")
	}
}
