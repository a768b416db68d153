package redis

import (
	"errors"
	"fmt"
	"strings"

	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
)

// Codes that errors of ours begin with. Clients make kinds of exceptions of them.
const (
	codeError      = "ERR"
	codeNoAuth     = "NOAUTH"
	codeNoPerm     = "NOPERM"
	codeNoScript   = "NOSCRIPT"
	codeWrongPass  = "WRONGPASS"
	codeAborted    = "EXECABORT"
	codeCrossSlot  = "CROSSSLOT"
	codeNoProtocol = "NOPROTO"
)

// codeOf returns the code for an error that ends a session.
func codeOf(err error) string {
	switch fault.KindOf(err) {
	case fault.AccessDenied:
		return codeNoPerm
	case fault.Unauthenticated:
		return codeNoAuth
	default:
		return codeError
	}
}

// replyOf returns an error as a client reads it.
func replyOf(err error) []byte {
	if refused, ok := errors.AsType[*refusedLogin](err); ok {
		code, text, _ := strings.Cut(refused.reply, " ")
		if refused.advice != "" {
			text += "; " + refused.advice
		}
		return resp.AppendError(nil, code, text)
	}
	return resp.AppendError(nil, codeOf(err), fault.Message(err))
}

// refusal is a command that is answered here and not passed on.
type refusal struct{ code, text string }

func (r *refusal) Error() string { return r.code + " " + r.text }

func refuse(code, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

func (r *refusal) reply() []byte { return resp.AppendError(nil, r.code, r.text) }

// refusedLogin is an error of the server in answer to the login.
type refusedLogin struct {
	reply  string // without its type and end
	advice string // may be empty
}

// Refusal implements engine.RefusedLogin.
func (r *refusedLogin) Refusal() (said, advice string) { return r.reply, r.advice }

func (r *refusedLogin) Error() string { return engine.RefusalText(r.Refusal()) }

// malformed is what a client sent where no command could be read.
func malformed(cause error) error {
	return fault.Wrap(fault.BadParameter, cause, "Protocol error: this is no command of Redis; the session ends")
}

// desynchronised is a message of the database that answers nothing.
func desynchronised(format string, args ...any) error {
	return fault.Wrap(fault.ConnectionProblem, fmt.Errorf(format, args...), "the database sent a reply that does not belong here; the session ends, connect again")
}

// told is an error that the client knows of.
type told struct{ error }

func (t *told) Unwrap() error { return t.error }

func isTold(err error) bool {
	_, ok := errors.AsType[*told](err)
	return ok
}
