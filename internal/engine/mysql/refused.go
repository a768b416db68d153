package mysql

import (
	"fmt"
	"strings"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
)

// refusedLogin is an error message of the database in answer to the login, for the client.
type refusedLogin struct {
	mysqlwire.ServerError
	method string // in words, the proof that it asked for in place of the token; empty if it was shown what we have
	advice string // may be empty
}

// Refusal implements engine.RefusedLogin.
func (r *refusedLogin) Refusal() (said, advice string) { return r.ServerError.Error(), r.advice }

func (r *refusedLogin) Error() string { return engine.RefusalText(r.Refusal()) }

// shown returns the message with the advice behind it.
func (r *refusedLogin) shown() mysqlwire.ServerError {
	e := r.ServerError
	if r.advice != "" {
		e.Message += "; " + r.advice
	}
	return e
}

// adviceFor says what to do about a database that does not take an account by its certificate, or does not let it into the
// logical database of that name; "" where that is not known. For an account that does not exist MariaDB pretends that it is like one of
// the others, by its name, and has the number that goes with that one's method.
func adviceFor(e *mysqlwire.ServerError, account, name string) string {
	quoted, code := literal(account), e.Code
	if found := anonymous.FindStringSubmatch(e.Message); found != nil {
		return "the database takes the account for its anonymous one; " + dropAnonymous(account, found[1])
	}
	switch {
	case code == errAccessDenied.code, code == errNoPassword.code:
		return fmt.Sprintf("make the account with CREATE USER %s@'%%' REQUIRE SUBJECT %s", quoted, literal("/CN="+account))
	case code == errNoGrant.code && name != "":
		return fmt.Sprintf("let the account into the database with GRANT SELECT ON `%s`.* TO %s@'%%', or name another one", strings.ReplaceAll(name, "`", "``"), quoted)
	}
	return ""
}

// literal returns a text as SQL has it.
func literal(text string) string {
	return "'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(text) + "'"
}

// maxShown is how much of a message clients show: their library has 512 bytes for it, with a zero at the end
// (MYSQL_ERRMSG_SIZE).
const maxShown = 511

// fit shortens a message to what clients show, and says where all of it is.
func fit(text string) string {
	const more = "... (tctl db check tells all)"
	if len(text) <= maxShown {
		return text
	}
	return strings.ToValidUTF8(text[:maxShown-len(more)], "") + more
}

// refused is the database's answer no. An account that is to be shown a token, and was not asked for it, is of another kind.
func (l *login) refused(e mysqlwire.ServerError) error {
	r := &refusedLogin{ServerError: e}
	if l.up.Token && !l.proven && e.State == errAccessDenied.state {
		r.method = fmt.Sprintf("a proof by %.40q", l.method)
	}
	return r
}

// refuseMethod says what is wrong with a database that asks for another proof than we have. Nothing of a secret is
// sent.
func (l *login) refuseMethod(method string) error {
	method = fmt.Sprintf("a proof by %.40q", method)
	advice := l.up.Advice(cred.Refusal{Method: method})
	switch {
	case l.up.Token && advice != "":
		return fault.New(fault.ConnectionProblem, "the database asks account %q for %s instead of an IAM token; %s", l.up.User, method, advice)
	case l.up.Token:
		return fault.New(fault.ConnectionProblem, "the database asks account %q for %s instead of a token; let the account log in with tokens", l.up.User, method)
	case advice != "":
		return fault.New(fault.ConnectionProblem, "the database asks account %q for %s; %s", l.up.User, method, advice)
	default:
		return fault.New(fault.ConnectionProblem, "the database asks account %q for %s instead of the client certificate; make the account with REQUIRE SUBJECT '/CN=%s' and without a password", l.up.User, method, l.up.User)
	}
}
