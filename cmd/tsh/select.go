package main

import (
	"bytes"
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

// selector are the flags that say which databases are meant, beside the name.
type selector struct{ labels, query string }

func (s *selector) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.labels, "labels", "", "choose the database by `labels`, key=value,...")
	cmd.Flags().StringVar(&s.query, "query", "", "choose the database by a `predicate`")
}

func (s *selector) empty() bool { return s.labels == "" && s.query == "" }

// given shows the flags as they were given.
func (s *selector) given() string {
	var flags []string
	if s.labels != "" {
		flags = append(flags, "--labels="+shellQuote(s.labels))
	}
	if s.query != "" {
		flags = append(flags, "--query="+shellQuote(s.query))
	}
	return strings.Join(flags, " ")
}

// candidates returns the databases that the user can see and that are meant. The name may be the one under
// which a database was found in a cloud.
func (s *selector) candidates(ctx context.Context, api *authapi.Client, name string) ([]*client.Database, error) {
	matcher, err := access.ParseFilter(s.labels, "", s.query)
	if err != nil {
		return nil, err
	}
	all, err := client.ListDatabases(ctx, api, "")
	return slices.DeleteFunc(all, func(db *client.Database) bool {
		return !matcher.Match(db.Database) || name != "" && db.GetName() != name && db.Metadata.Labels[resource.LabelDiscovered] != name
	}), err
}

// one returns the database of that very name, or else the only one.
func (s *selector) one(who *account, all []*client.Database, name string) (*client.Database, error) {
	for _, db := range all {
		if db.GetName() == name {
			return db, nil
		}
	}
	switch {
	case len(all) == 1:
		return all[0], nil
	case len(all) > 1:
		return nil, s.errSeveral(who, all)
	case s.empty():
		return nil, fault.New(fault.NotFound, "database %[1]q not found; see %[2]s db ls for the databases you can use; if it is missing there, ask an administrator to run tctl db check %[1]s, which says whether a Database Service serves it", name, who.tsh)
	case name != "":
		return nil, fault.New(fault.NotFound, "no database %q that you can use matches %s; see %s db ls", name, s.given(), who.tsh)
	default:
		return nil, fault.New(fault.NotFound, "no database that you can use matches %s; see %s db ls", s.given(), who.tsh)
	}
}

// errSeveral shows the databases among which to choose.
func (s *selector) errSeveral(who *account, all []*client.Database) error {
	var rows []listed
	for _, db := range all {
		rows = append(rows, listed{Database: db, who: who})
	}
	var table bytes.Buffer
	if err := (&listFlags{verbose: true}).table(rows).Write(&table); err != nil {
		return err
	}
	return fault.New(fault.BadParameter, "several databases match; name one of them, or narrow the choice with --labels=key=value or with --query='name == %q':\n\n%s",
		all[0].GetName(), strings.TrimRight(table.String(), "\n"))
}

// activeNames returns the databases that the user is logged in to.
func activeNames(who *account) ([]string, error) {
	logins, err := who.profile.Databases()
	var names []string
	for _, login := range logins {
		names = append(names, login.Identity.Route.Service)
	}
	return names, err
}

// active returns the databases that the user is logged in to and that are meant. The cluster is asked only
// when names do not tell.
func (s *selector) active(ctx context.Context, who *account, args []string) ([]string, error) {
	names, err := activeNames(who)
	if err != nil {
		return nil, err
	}
	name := strings.Join(args, "")
	if s.empty() && (name == "" || slices.Contains(names, name)) {
		return slices.DeleteFunc(names, func(active string) bool { return name != "" && active != name }), nil
	}
	if who.ended != nil {
		if s.empty() {
			return nil, nil
		}
		return nil, who.ended
	}
	api := who.api()
	defer api.Close()
	meant, err := s.candidates(ctx, api, name)
	if err != nil && s.empty() {
		return nil, nil // without an answer the name is that of no login
	}
	return slices.DeleteFunc(names, func(active string) bool {
		return !slices.ContainsFunc(meant, func(db *client.Database) bool { return db.GetName() == active })
	}), err
}

// login returns the stored login that is meant, which may have ended.
func (s *selector) login(ctx context.Context, who *account, args []string) (*client.Credentials, error) {
	names, err := s.active(ctx, who, args)
	if err != nil {
		return nil, err
	}
	switch len(names) {
	case 0:
		return nil, s.notLoggedIn(who, args)
	case 1:
		return keptLogin(who, names[0])
	}
	return nil, errSeveralLogins(names)
}

func errSeveralLogins(names []string) error {
	return fault.New(fault.BadParameter, "you are logged in to several databases, name one: %s", strings.Join(names, ", "))
}

// notLoggedIn says that there is no login of what is meant.
func (s *selector) notLoggedIn(who *account, args []string) error {
	name := strings.Join(args, "")
	if name == "" && s.empty() {
		return fault.New(fault.NotFound, "you are not logged in to any database; run %[1]s db login DATABASE, and %[1]s db ls to see which there are", who.tsh)
	}
	if name != "" {
		name = shellQuote(name)
	}
	return fault.New(fault.NotFound, "you are not logged in to %s; run %s db login %s", s.described(args), who.tsh, strings.TrimSpace(s.given()+" "+name))
}

// described says in words what is meant.
func (s *selector) described(args []string) string {
	switch {
	case s.empty():
		return fmt.Sprintf("database %q", strings.Join(args, ""))
	case len(args) == 0:
		return "a database that matches " + s.given()
	default:
		return fmt.Sprintf("a database %q that matches %s", args[0], s.given())
	}
}
