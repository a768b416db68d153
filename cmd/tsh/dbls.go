package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/internal/access"
	"sallyport/internal/client"
	"sallyport/internal/resource"
	"sallyport/internal/terminal"
)

const manyRows = 20

// listFlags are those of db ls.
type listFlags struct {
	format, search, query string
	verbose, all          bool
}

func dbListCommand(g *global) *cobra.Command {
	f := &listFlags{}
	cmd := &cobra.Command{
		Use:     "ls [LABELS]",
		Short:   "List the databases that you can see",
		Example: "  tsh db ls env=prod\n  tsh db ls --search=orders\n  tsh db ls --query='labels[\"env\"] == \"prod\"'",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, g, args) },
	}
	flags := cmd.Flags()
	terminal.FormatFlag(cmd, &f.format, "f", "output `format`: text, json or yaml", "text", "json", "yaml")
	flags.StringVar(&f.search, "search", "", "show databases with all of these `words` only, comma-separated")
	flags.StringVar(&f.query, "query", "", "show databases that the `predicate` holds for")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "show protocol, type, address and health too, and cut nothing short")
	flags.BoolVarP(&f.all, "all", "R", false, "show the databases of all logins")
	g.clusterFlag(cmd)
	return cmd
}

func (f *listFlags) run(cmd *cobra.Command, g *global, args []string) error {
	matcher, err := access.ParseFilter(strings.Join(args, ""), f.search, f.query)
	if err != nil {
		return err
	}
	accounts, err := f.accounts(cmd.Context(), g)
	if err != nil {
		return err
	}
	var rows []listed
	for _, who := range accounts {
		some, err := list(cmd.Context(), who, matcher)
		if err != nil {
			return err
		}
		rows = append(rows, some...)
	}
	if f.format != "text" {
		return f.encode(cmd.OutOrStdout(), rows)
	}
	if err := f.table(rows).Write(cmd.OutOrStdout()); err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout())
	if len(rows) >= manyRows && f.search == "" && f.query == "" && len(args) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "Narrow the list with --search=words, with labels as in tsh db ls env=prod, or with --query.")
	}
	return nil
}

// accounts returns whose databases are listed: those of one login, or of all that are valid.
func (f *listFlags) accounts(ctx context.Context, g *global) ([]*account, error) {
	if f.all && g.identity == "" {
		return g.accounts()
	}
	who, err := g.account(ctx)
	return []*account{who}, err
}

// listed is a database as one account sees it.
type listed struct {
	*client.Database
	who   *account
	login *client.Credentials // stored; nil without
}

func list(ctx context.Context, who *account, matcher *access.Matcher) ([]listed, error) {
	api := who.api()
	defer api.Close()
	databases, err := client.ListDatabases(ctx, api, "")
	if err != nil {
		return nil, err
	}
	logins, err := who.profile.Databases()
	if err != nil {
		return nil, err
	}
	byService := make(map[string]*client.Credentials)
	for _, login := range logins {
		byService[login.Identity.Route.Service] = login
	}
	var rows []listed
	for _, db := range databases {
		if matcher.Match(db.Database) {
			rows = append(rows, listed{db, who, byService[db.GetName()]})
		}
	}
	return rows, nil
}

func (f *listFlags) table(rows []listed) terminal.Table {
	table := terminal.Table{
		Header: []string{"Name", "Description", "Allowed Users", "Labels", "Connect"}, Wide: f.verbose,
		Whole: []string{"Name", "Connect"}, Short: []string{"Description", "Labels"}, // what is copied, and what only explains
	}
	if f.verbose {
		table.Header = []string{"Name", "Description", "Protocol", "Type", "URI", "Health", "Allowed Users", "Labels", "Connect"}
	}
	if f.all {
		table.Header = append([]string{"Proxy", "Cluster"}, table.Header...)
	}
	for _, db := range rows {
		name, connect := f.shownName(db.Database.Database), ""
		if db.login != nil {
			name = "> " + name + loginText(db.login)
			connect = db.who.tsh + " db connect "
			if program, _ := programOf(db.Spec.Protocol); program.needsUser && db.login.Identity.Route.User == "" {
				connect += "--db-user=<user> "
			}
			connect += db.GetName()
		}
		row := []string{name, db.Metadata.Description}
		if f.verbose {
			row = append(row, db.Spec.Protocol, db.Type(), db.ShownURI(), db.Health)
		}
		row = append(row, allowedText(usable(db.Database), db.DeniedUsers), terminal.Labels(f.shownLabels(db.Metadata.Labels)), connect)
		if f.all {
			row = append([]string{client.ProxyHost(db.who.proxy), db.who.credentials.Identity.Cluster}, row...)
		}
		table.Rows = append(table.Rows, row)
	}
	return table
}

func (f *listFlags) shownName(db *resource.Database) string {
	if short := db.Metadata.Labels[resource.LabelDiscovered]; short != "" && !f.verbose {
		return short
	}
	return db.GetName()
}

// shownLabels leaves out what only -v shows.
func (f *listFlags) shownLabels(labels map[string]string) map[string]string {
	if f.verbose {
		return labels
	}
	shown := make(map[string]string)
	for key, value := range labels {
		if key != resource.LabelOrigin && key != resource.LabelDiscovered {
			shown[key] = value
		}
	}
	return shown
}

// loginText tells whom a login is for: " (user: u, db: d)".
func loginText(login *client.Credentials) string {
	r := login.Identity.Route
	text := ""
	if r.User != "" {
		text = "user: " + r.User
	}
	if r.Database != "" {
		if text != "" {
			text += ", "
		}
		text += "db: " + r.Database
	}
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// encode prints databases as JSON or YAML, each with the users that the roles allow.
func (f *listFlags) encode(out io.Writer, rows []listed) error {
	all := []map[string]any{}
	for _, db := range rows {
		data, err := resource.Encode(db.Database.Database)
		if err != nil {
			return err
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		var shown map[string]any
		if err := decoder.Decode(&shown); err != nil {
			return err
		}
		users := map[string]any{"allowed": append([]string{}, usable(db.Database)...)}
		if len(db.DeniedUsers) > 0 {
			users["denied"] = db.DeniedUsers
		}
		shown["users"], shown["health"] = users, db.Health
		if f.all {
			shown = map[string]any{"proxy": client.ProxyHost(db.who.proxy), "cluster": db.who.credentials.Identity.Cluster, "database": shown}
		}
		all = append(all, shown)
	}
	return terminal.Encode(out, f.format, all)
}

// usable returns the accounts that the roles allow. Where that is all of them, those are named too whose passwords the
// Database Service manages: nobody needs to know more to use them.
func usable(db *client.Database) []string {
	all := slices.Clone(db.AllowedUsers)
	if !slices.Contains(all, "*") {
		return all
	}
	for _, name := range db.Status.ManagedUsers {
		if !slices.Contains(db.DeniedUsers, name) && !slices.Contains(db.DeniedUsers, "*") {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
