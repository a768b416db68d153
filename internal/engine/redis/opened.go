package redis

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/resource"
)

// present logs in with the password of the credential. One that was changed in the moment between is got anew, once.
func (b *backend) present(ctx context.Context, password string) error {
	err := b.authenticate(ctx, b.up.User, password)
	if !isRefused(err) || b.up.Renew == nil {
		return err
	}
	next, renewErr := b.up.Renew(ctx)
	switch {
	case renewErr != nil:
		return errors.Join(err, renewErr)
	case next == password:
		return err
	default:
		return b.authenticate(ctx, b.up.User, next)
	}
}

// passwordWanted says that only the client can open the account, and what else is to be known.
func passwordWanted(db *resource.Database, account string, refused error) string {
	text := fmt.Sprintf("Authentication required. The database wants a password for the account %q: give it with AUTH %s <password>", account, account)
	if known, ok := errors.AsType[*refusedLogin](refused); ok && known.advice != "" {
		text += "; " + known.advice
	}
	if missing := perhapsMissing(db, account); missing != "" {
		text += "; " + missing
	}
	if account == everyone {
		text += "; where that account is off, as it should be, no password helps: name another one with --db-user"
	}
	return text
}

// perhapsMissing says how the account is made, because the database answers for one that it does not have as for one with a password;
// "" where there is nothing to make. Accounts in AWS are not made by commands. To set nopass on an account that exists takes its
// passwords away and opens it, in a cluster to every node's key, so the reader looks first.
func perhapsMissing(db *resource.Database, account string) string {
	if account == everyone || db.InAWS() {
		return ""
	}
	secret := "nopass"
	if place, err := resource.ParseRedisURI(db.Spec.URI); err == nil && place.Cluster {
		secret = "'>a-password'"
	}
	return fmt.Sprintf("or the account does not exist, which ACL GETUSER %s shows: only then make it with ACL SETUSER %s on %s ~* &* +@all, or with fewer rights", account, account, secret)
}

// alreadyOpen deals with a client that says who it is although a credential has opened its account: a password that it
// sends, because its settings want one, is not passed on.
func (r *relay) alreadyOpen(c *command, size int) (done bool, err error) {
	if !r.opened || c.role != login && c.role != hello {
		return false, nil
	}
	args := r.parser.Args
	if given := credentialsOf(c, args); !given.given {
		return false, nil
	}
	switch {
	case r.fromClient.multi: // it is AUTH
		return true, r.refuse(refuse(codeError, "%s is not passed on within MULTI, and the account %s is open already", r.fromClient.reading.shownName(), r.account), size)
	case c.role == hello:
		return true, r.helloWithout(args, size)
	}
	return true, r.answerHere(size, resp.AppendSimple(nil, "OK"))
}

// helloWithout passes HELLO on without the credentials.
func (r *relay) helloWithout(args [][]byte, size int) error {
	options, _ := parseHello(args) // it has credentials, so it could be read
	words := []string{"HELLO", options.version}
	if options.name != "" {
		words = append(words, "SETNAME", options.name)
	}
	message := resp.AppendCommand(nil, words...)
	q := request{role: hello, began: r.engine.cfg.Now(), masked: true, proto: options.proto()}
	var err error
	if q.event, err = r.recordNow(r.record.query(&r.fromClient.reading)); err != nil {
		return err
	}
	if r.cluster != nil {
		q.sent, q.slot = message, -1
	}
	r.push(q)
	if err := r.replace(size, message); err != nil {
		return err
	}
	return r.behindHello(q.proto)
}
