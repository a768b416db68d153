package engine

import (
	"fmt"
	"runtime/debug"
)

// Panic is the error that a panic of an engine becomes, so that it ends one session only. Where it happened is for the log.
type Panic struct {
	Where string
	Cause any
	Stack []byte
}

// Recovered makes an error of what recover has returned, in the function that is deferred.
func Recovered(where string, cause any) error {
	return &Panic{where, cause, debug.Stack()}
}

func (p *Panic) Error() string { return fmt.Sprintf("%s panicked: %v", p.Where, p.Cause) }
