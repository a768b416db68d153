package session

import (
	"errors"
	"sync"
	"time"

	"sallyport/internal/access"
	"sallyport/internal/fault"
)

const (
	allowedFor = time.Second // after which the rules, which may have changed, are asked again
	maxAllowed = 64          // logical databases remembered
)

// allowed are the logical databases that the rules have let the session use a moment ago. It is safe for concurrent use.
type allowed struct {
	mu    sync.Mutex
	until map[string]time.Time // guarded by mu
}

// Allow asks whether an open session may use another logical database, for protocols whose commands name theirs. A
// refusal comes back as a fault for the client; it is for the caller to record. The rules are those of now, or of a
// second ago. Safe for concurrent use once Open has returned.
func (s *Session) Allow(name string) error {
	a, now := &s.allowed, s.cfg.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if until, ok := a.until[name]; ok && now.Before(until) {
		return nil
	}
	if decision := s.cfg.Decide(s.target(s.account, name, s.cfg.CheckName)); !decision.Allowed {
		delete(a.until, name)
		return &refusal{decision.Err(), decision}
	}
	if a.until == nil || len(a.until) >= maxAllowed {
		a.until = make(map[string]time.Time)
	}
	a.until[name] = now.Add(allowedFor)
	return nil
}

// AllowCommand asks whether an open session may send a command that concerns the server and not its data. The rules are
// those of now. A refusal comes back as a fault for the client; it is for the caller to record. It is called by one
// goroutine at a time.
func (s *Session) AllowCommand(command string) error {
	target := s.target(s.account, "", false)
	target.Command = command
	if decision := s.cfg.Decide(target); !decision.Allowed {
		return &refusal{decision.Err(), decision}
	}
	return nil
}

// denied are the commands that the rules denied a moment ago. It is safe for concurrent use.
type denied struct {
	mu       sync.Mutex
	commands access.Commands // guarded by mu
	until    time.Time       // guarded by mu
}

// DeniedCommands returns the commands that no role may allow, for protocols whose commands have names. A refusal is for the caller
// to tell and to record. The rules are those of now, or of a second ago. The result must not be changed. Safe for concurrent use.
func (s *Session) DeniedCommands() access.Commands {
	d, now := &s.denied, s.cfg.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !now.Before(d.until) {
		d.commands, d.until = s.cfg.Denied(), now.Add(allowedFor)
	}
	return d.commands
}

// Reason returns why something was refused, for the record: the deciding rule, which the client is not told.
func Reason(refused error) string {
	if denied, ok := errors.AsType[*refusal](refused); ok && denied.decision.Reason != "" {
		return denied.decision.Reason
	}
	return fault.Message(refused)
}
