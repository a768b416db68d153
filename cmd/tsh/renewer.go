package main

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

// renewer keeps a database login fresh, unless --ttl says how long it is to last. Safe for concurrent use.
type renewer struct {
	who   *account
	route client.Route

	mu    sync.Mutex
	login *client.Credentials // guarded by mu
}

// renewBefore is how long before its end a login is renewed.
const renewBefore = time.Minute

// renewer finds the database that is meant and gets a login for it, in memory only.
func (c *choice) renewer(ctx context.Context, who *account, args []string) (*renewer, client.Route, error) {
	api := who.api()
	defer api.Close()
	db, err := c.pick(ctx, who, api, args)
	if err == nil {
		err = served(db)
	}
	if err != nil {
		return nil, client.Route{}, err
	}
	r, err := c.route(who, db)
	if err != nil {
		return nil, r, err
	}
	login, err := client.DatabaseLogin(ctx, api, r, who.ttl)
	return &renewer{who: who, route: r, login: login}, r, err
}

// tls returns the configuration for a new connection, with a fresh login when the last one is about to end.
func (n *renewer) tls(ctx context.Context) (*tls.Config, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.who.ttl > 0 {
		if err := n.login.CheckValid(terminal.Now()); err != nil {
			return nil, fault.Wrap(fault.Unauthenticated, err, "the time of --ttl is over; run the command again")
		}
		return n.login.DatabaseTLS()
	}
	if n.login.CheckValid(terminal.Now().Add(renewBefore)) != nil {
		if err := n.who.credentials.CheckValid(terminal.Now()); err != nil {
			return nil, err
		}
		api := n.who.api()
		defer api.Close()
		login, err := client.DatabaseLogin(ctx, api, n.route, 0)
		if err != nil {
			return nil, err
		}
		n.login = login
	}
	return n.login.DatabaseTLS()
}
