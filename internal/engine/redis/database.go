package redis

import (
	"context"
	"strconv"

	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
)

// checkDatabase refuses names of logical databases that Redis cannot have: they are numbers, and a cluster has 0 alone.
func checkDatabase(name string, cluster bool) error {
	if name == "" {
		return nil
	}
	if n, err := strconv.ParseUint(name, 10, 31); err != nil || strconv.FormatUint(n, 10) != name {
		return fault.New(fault.BadParameter, "the databases of Redis are numbers, and %q is none; connect with --db-name=0, or without it", name)
	}
	if cluster && name != "0" {
		return fault.New(fault.BadParameter, "Redis Cluster has the database 0 only, and not %s; connect without --db-name", name)
	}
	return nil
}

// selectFirst goes to the database that the session is for.
func (v *visit) selectFirst(ctx context.Context, b *backend) error {
	if v.database == "" || v.database == "0" {
		return nil
	}
	values, err := b.ask(ctx, []string{"SELECT", v.database})
	if err != nil {
		return err
	}
	if answer := &values[0]; answer.IsError() {
		return &refusedLogin{reply: answer.Text, advice: "the database " + v.database + " could not be selected"}
	}
	return nil
}

// selectAgain does so after RESET.
func (r *relay) selectAgain() error {
	if r.database != "" && r.database != "0" {
		answer, err := r.askServer(login, "SELECT", r.database)
		if err != nil {
			return err
		}
		if answer[0] == resp.Error {
			return fault.New(fault.ConnectionProblem, "the database %s could not be selected again after RESET; connect again", r.database)
		}
	}
	r.noteSelected(r.database)
	r.fromClient.selects = false
	r.session.UseName(r.database)
	return nil
}

// databaseOf returns the number that SELECT has, or "" if it has none.
func databaseOf(args [][]byte) string {
	if len(args) != 2 {
		return ""
	}
	n, err := strconv.ParseUint(string(args[1]), 10, 31)
	if err != nil {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// noteSelected notes which database the connection is in, as the server has said.
func (r *relay) noteSelected(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.selected = name
}

// behindSelect has the events to come name the database that SELECT went to. Within MULTI that is where the commands behind it will
// be executed; whether it went there is known when that ends.
func (r *relay) behindSelect(name string) error {
	if err := r.settled(); err != nil {
		return err
	}
	r.leaveRefusedMulti()
	if r.fromClient.multi {
		r.fromClient.selects = true
		if name != "" {
			r.session.UseName(name)
		}
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.session.UseName(r.selected)
	return nil
}

// behindMulti does so when a transaction with SELECT has ended.
func (r *relay) behindMulti() error {
	if !r.fromClient.selects {
		return nil
	}
	r.fromClient.selects = false
	return r.behindSelect("")
}
