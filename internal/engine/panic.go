package engine

import (
	"fmt"
	"runtime/debug"
)

// Panic is the error that a panic of an engine becomes, so that it ends one session only. Where it happened, Stack, is for
// the log and for nobody else.
type Panic struct {
	Part  string
	Cause any
	Stack []byte
}

// Guard does a part of an engine's work, and has a panic end only that: it returns it as a *Panic that names the part.
func Guard(part string, work func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &Panic{part, cause, debug.Stack()}
		}
	}()
	return work()
}

func (p *Panic) Error() string { return fmt.Sprintf("%s panicked: %v", p.Part, p.Cause) }
