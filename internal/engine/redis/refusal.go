package redis

import (
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/resource"
)

// unknown stands for commands that are not in the table.
var unknown command

// admit finds the command that has just been read in the table, and returns why it is not passed on, or nil.
func (r *relay) admit() (c *command, no *refusal) {
	args := r.parser.Args
	c = find(r.engine.table, args)
	if no = r.refusal(c, args); no == nil {
		no = r.keepScript(c, args)
	}
	if c == nil {
		c = &unknown
	}
	return c, no
}

// refusal returns why a command is not passed on, or nil.
func (r *relay) refusal(c *command, args [][]byte) *refusal {
	switch {
	case r.denies(c, args):
		return refuse(codeNoPerm, "%s is denied by your roles", r.fromClient.reading.shownName())
	case c == nil:
		if r.session.AllowCommand(nameOf(args)) != nil {
			return refuse(codeNoPerm, "this system does not know the command %s, so it may concern the server, and your roles do not allow it", r.fromClient.reading.shownName())
		}
	case c.role == unsupported:
		return refuse(codeNoPerm, "%s is not passed on by this system, because what follows it could not be recorded", r.fromClient.reading.shownName())
	case c.admin:
		if r.session.AllowCommand(c.name) != nil {
			return refuse(codeNoPerm, "%s concerns the server and not its data, and your roles do not allow it", r.fromClient.reading.shownName())
		}
	case c.role == hello && r.fromClient.multi:
		return refuse(codeError, "%s is not passed on within MULTI, because it would change the protocol in the middle of a reply", r.fromClient.reading.shownName())
	case c.role == login || c.role == hello:
		given := credentialsOf(c, args)
		if given.given && given.user != r.account {
			return otherAccount(given, r.account, c.role == hello || len(args) == 3)
		}
	case c.role == subscribe && r.fromClient.multi:
		return refuse(codeError, "%s is not passed on within MULTI, because its replies could not be told apart", r.fromClient.reading.shownName())
	case c.role == evalSHA && len(args) > 1 && r.fromClient.scripts.text(args[1]) == nil:
		// In the server's words, at which clients send the text.
		return refuse(codeNoScript, "No matching script. Please use EVAL.")
	}
	return nil
}

// denies reports whether a role denies a command, whatever it is about.
func (r *relay) denies(c *command, args [][]byte) bool {
	denied := r.fromClient.denied
	if len(denied) == 0 {
		return false
	}
	if c == nil {
		return denied.Has(nameOf(args))
	}
	return denied.Has(c.name)
}

// nameOf returns the name of a command that is not known, as rules have it: the first two words, since nobody knows whether the
// second is part of the name. Rules that have the first word alone hold for it too.
func nameOf(args [][]byte) string {
	const enough = resource.MaxCommandWord + 1 // of longer words, so that they are no word of a rule
	name := strings.ToLower(string(args[0][:min(len(args[0]), enough)]))
	if len(args) > 1 {
		name += " " + strings.ToLower(string(args[1][:min(len(args[1]), enough)]))
	}
	return name
}

// refuse records that a command is not passed on, and says so to the client. The transaction that it was to be part of
// is not executed.
func (r *relay) refuse(no *refusal, size int) error {
	if err := r.recordRefusal(no); err != nil {
		return err
	}
	if r.fromClient.multi {
		r.fromClient.dirty = true
	}
	if err := r.sendToServer(); err != nil {
		return err
	}
	r.drop(size)
	return r.reply(no.reply())
}

// recordRefusal records that the command that has just been read is not passed on.
func (r *relay) recordRefusal(no *refusal) error {
	_, err := r.recordNow(&audit.DatabaseQueryFailed{DatabaseQuery: *r.record.query(&r.fromClient.reading), Error: no.text})
	return err
}
