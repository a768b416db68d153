package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/internal/access"
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
	dbUser, dbName, dbRoles string
	labels, query           string
	reason                  string
	noRequest               bool
}

func (c *choice) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&c.dbUser, "db-user", "u", "", "database `account` to use")
	flags.StringVarP(&c.dbName, "db-name", "n", "", "database `name` to use")
	flags.StringVarP(&c.dbRoles, "db-roles", "r", "", "`roles` of a provisioned database account; this version provisions none and refuses them")
	flags.StringVar(&c.labels, "labels", "", "choose the database by `labels`, key=value,...")
	flags.StringVar(&c.query, "query", "", "choose the database by a `predicate`")
	flags.StringVar(&c.reason, "request-reason", "", "accepted, without effect: the `reason` of an access request, which this version does not make")
	flags.BoolVar(&c.noRequest, "disable-access-request", false, "accepted, without effect: access is never requested")
}

// pick finds the database that is meant: by name, labels or query, or the only one logged in to.
func (c *choice) pick(ctx context.Context, who *account, api *authapi.Client, args []string) (*client.Database, error) {
	if c.dbRoles != "" {
		return nil, fault.New(fault.BadParameter, "database accounts are not provisioned by this version; leave out --db-roles and name an account with --db-user")
	}
	name := ""
	if len(args) == 1 {
		name = args[0]
	}
	if name == "" && c.labels == "" && c.query == "" {
		active, err := onlyActive(who)
		if err != nil {
			return nil, err
		}
		name = active
	}
	filter := access.Filter{Query: c.query}
	var err error
	if filter.Labels, err = access.ParseLabels(c.labels); err != nil {
		return nil, err
	}
	matcher, err := filter.Compile()
	if err != nil {
		return nil, err
	}
	all, err := client.ListDatabases(ctx, api, "")
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(db *client.Database) bool {
		return !matcher.Match(db.Database) || name != "" && db.GetName() != name && db.Metadata.Labels[resource.LabelDiscovered] != name
	})
	return one(all, name)
}

// onlyActive returns the database that the user is logged in to, if there is exactly one.
func onlyActive(who *account) (string, error) {
	active, err := who.profile.Databases()
	if err != nil {
		return "", err
	}
	switch len(active) {
	case 0:
		return "", fault.New(fault.NotFound, "name a database, or choose one with --labels or --query; see tsh db ls")
	case 1:
		return active[0].Identity.Route.Service, nil
	}
	var names []string
	for _, db := range active {
		names = append(names, db.Identity.Route.Service)
	}
	return "", fault.New(fault.BadParameter, "you are logged in to several databases, name one: %s", strings.Join(names, ", "))
}

func one(all []*client.Database, name string) (*client.Database, error) {
	for _, db := range all {
		if db.GetName() == name {
			return db, nil
		}
	}
	switch len(all) {
	case 0:
		what := "database"
		if name != "" {
			what = fmt.Sprintf("database %q", name)
		}
		return nil, fault.New(fault.NotFound, "%s not found; see tsh db ls for the databases you can use", what)
	case 1:
		return all[0], nil
	}
	var names []string
	for _, db := range all {
		names = append(names, db.GetName())
	}
	return nil, fault.New(fault.BadParameter, "several databases match, name one: %s", strings.Join(names, ", "))
}

// route fills in user and name: as given, or else those of the stored login, or else the only ones that the
// roles allow.
func (c *choice) route(who *account, db *client.Database) (client.Route, error) {
	r := client.Route{Service: db.GetName(), Protocol: db.Spec.Protocol, User: c.dbUser, Name: c.dbName}
	if login, err := stored(who, []string{r.Service}); err == nil {
		r.User = orElse(r.User, login.Identity.Route.User)
		r.Name = orElse(r.Name, login.Identity.Route.Database)
	}
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
