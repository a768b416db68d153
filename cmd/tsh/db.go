package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/internal/authapi"
	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

func dbCommand(g *global) *cobra.Command {
	cmd := &cobra.Command{Use: "db", Short: "List databases, log in to them and connect"}
	cmd.AddCommand(dbListCommand(g), dbLoginCommand(g), dbLogoutCommand(g), dbEnvCommand(g), dbConfigCommand(g), dbConnectCommand(g))
	return cmd
}

// choice are the flags that choose one database, and whom to be there.
type choice struct {
	selector
	dbUser, dbName, dbRoles string
	reason                  string
	noRequest               bool
}

func (c *choice) addFlags(cmd *cobra.Command, g *global) {
	c.selector.addFlags(cmd)
	g.clusterFlag(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&c.dbUser, "db-user", "u", "", "database `account` to use")
	flags.StringVarP(&c.dbName, "db-name", "n", "", "database `name` to use")
	flags.StringVarP(&c.dbRoles, "db-roles", "r", "", "`roles` of a provisioned database account; this version provisions none and refuses them")
	flags.StringVar(&c.reason, "request-reason", "", "accepted, without effect: the `reason` of an access request, which this version does not make")
	flags.BoolVar(&c.noRequest, "disable-access-request", false, "accepted, without effect: access is never requested")
}

// pick finds the database that is meant: by name, labels or query, or the only one logged in to.
func (c *choice) pick(ctx context.Context, who *account, api *authapi.Client, args []string) (*client.Database, error) {
	if c.dbRoles != "" {
		return nil, fault.New(fault.BadParameter, "database accounts are not provisioned by this version; leave out --db-roles and name an account with --db-user")
	}
	name := strings.Join(args, "")
	if name == "" && c.empty() {
		active, err := onlyActive(who)
		if err != nil {
			return nil, err
		}
		name = active
	}
	all, err := c.candidates(ctx, api, name)
	if err != nil {
		return nil, err
	}
	return c.one(who, all, name)
}

// onlyActive returns the database that the user is logged in to, if there is exactly one.
func onlyActive(who *account) (string, error) {
	names, err := activeNames(who)
	if err != nil {
		return "", err
	}
	switch len(names) {
	case 0:
		return "", fault.New(fault.NotFound, "name a database, or choose one with --labels or --query; see %s db ls", who.tsh)
	case 1:
		return names[0], nil
	}
	return "", errSeveralLogins(names)
}

// served refuses a database that is listed and that no Database Service of this version can serve.
func served(db *client.Database) error {
	if !resource.Served(db.Spec.Protocol) {
		return fault.New(fault.BadParameter, "database %q speaks %s, which this version cannot serve; tsh db ls -v shows the databases with their protocols", db.GetName(), db.Spec.Protocol)
	}
	return nil
}

// route fills in user and name: as given, or else those of the stored login, or else the only ones that the
// roles allow.
func (c *choice) route(who *account, db *client.Database) (client.Route, error) {
	r := client.Route{Service: db.GetName(), Protocol: db.Spec.Protocol, Type: db.Type(), User: c.dbUser, Name: c.dbName}
	if login, err := stored(who, r.Service); err == nil {
		r.User = orElse(r.User, login.Identity.Route.User)
		r.Name = orElse(r.Name, login.Identity.Route.Database)
	}
	r.User = orElse(r.User, usualAccount(db))
	if r.User == "" {
		user, err := onlyChoice("--db-user", "database users", db.AllowedUsers, db.DeniedUsers)
		if err != nil {
			return r, err
		}
		r.User = user
	}
	if r.Name == "" && resource.EnforcesNames(db.Spec.Protocol) {
		name, err := onlyChoice("--db-name", "database names", db.AllowedNames, db.DeniedNames)
		if err != nil {
			return r, err
		}
		r.Name = name
	}
	return r, nil
}

// forLogin returns what a login is for. User and name are only defaults here: what the client says later is checked then. A client
// that names no account comes with the usual one; where the roles allow a single other one, that is meant.
func (c *choice) forLogin(db *client.Database) client.Route {
	r := client.Route{Service: db.GetName(), Protocol: db.Spec.Protocol, User: c.dbUser, Name: c.dbName}
	if r.User == "" && resource.ProtocolNamed(r.Protocol).UsualAccount != "" && usualAccount(db) == "" {
		if only, err := onlyChoice("--db-user", "database users", db.AllowedUsers, db.DeniedUsers); err == nil {
			r.User = only
		}
	}
	return r
}

// usualAccount returns the account of clients that name none, if it is meant: the roles allow it, and not exactly another one.
func usualAccount(db *client.Database) string {
	name := resource.ProtocolNamed(db.Spec.Protocol).UsualAccount
	allows := func(list []string) bool { return slices.Contains(list, "*") || slices.Contains(list, name) }
	if !allows(db.AllowedUsers) || allows(db.DeniedUsers) {
		return ""
	}
	return name
}

// onlyChoice returns the single concrete value that the roles allow.
func onlyChoice(flag, what string, allowed, denied []string) (string, error) {
	if len(allowed) == 1 && allowed[0] != "*" && !slices.Contains(denied, allowed[0]) {
		return allowed[0], nil
	}
	return "", fault.New(fault.BadParameter, "give %s; %s that your roles allow: %s", flag, what, allowedText(allowed, denied))
}

// allowedText shows what is allowed: "[*], except: [postgres]".
func allowedText(allowed, denied []string) string {
	if len(allowed) == 0 {
		return "(none)"
	}
	text := "[" + strings.Join(allowed, " ") + "]"
	if len(denied) > 0 {
		text += ", except: [" + strings.Join(denied, " ") + "]"
	}
	return text
}
