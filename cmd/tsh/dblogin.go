package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/access"
	"sallyport/internal/authapi"
	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/terminal"
)

func dbLoginCommand(g *global) *cobra.Command {
	c := &choice{}
	cmd := &cobra.Command{
		Use:   "login [DATABASE]",
		Short: "Store a certificate for a database, for clients that use certificate files",
		Long: `Store a certificate for one database, and for PostgreSQL an entry in ~/.pg_service.conf, for MySQL one in ~/.my.cnf if the
proxy has a port for clients that do TLS themselves. Clients then connect with the files that tsh db env and tsh db config
show.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: g.completeDatabases,
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := g.account(cmd.Context())
			if err != nil {
				return err
			}
			api := who.api()
			defer api.Close()
			db, err := c.pick(cmd.Context(), who, api, args)
			if err == nil {
				err = served(db)
			}
			if err != nil {
				return err
			}
			r := c.forLogin(db)
			if full, err := c.route(who, db); err == nil && namesAccount(r.Protocol) {
				r = full
			}
			r.ProxyTerminated = true
			native, err := storeLogin(cmd, who, api, r)
			if err != nil {
				return err
			}
			printLogin(cmd, who, r, native)
			for _, warning := range beyondRoles(db, r) {
				fmt.Fprintf(cmd.ErrOrStderr(), "WARNING: %s\n", warning)
			}
			return nil
		},
	}
	c.addFlags(cmd, g)
	return cmd
}

// beyondRoles says what of a login would be refused as the roles are now. They may allow it before it is used.
func beyondRoles(db *client.Database, r client.Route) (warnings []string) {
	const text = "your roles do not allow the database %s %q on database %q, so that connections with it are refused; allowed: %s"
	user := orElse(r.User, resource.ProtocolNamed(r.Protocol).UsualAccount)
	if user != "" && !access.UserIn(db.Database, db.AllowedUsers, db.DeniedUsers, user) {
		warnings = append(warnings, fmt.Sprintf(text, "user", user, r.Service, allowedText(db.AllowedUsers, db.DeniedUsers)))
	}
	if r.Name != "" && resource.EnforcesNames(r.Protocol) && !access.NameIn(db.AllowedNames, db.DeniedNames, r.Name) {
		warnings = append(warnings, fmt.Sprintf(text, "name", r.Name, r.Service, allowedText(db.AllowedNames, db.DeniedNames)))
	}
	return warnings
}

// storeLogin gets a certificate for the database and writes what clients need. It reports whether they can connect with the
// files.
func storeLogin(cmd *cobra.Command, who *account, api *authapi.Client, r client.Route) (native bool, err error) {
	login, err := client.DatabaseLogin(cmd.Context(), api, r, who.ttl)
	if err != nil {
		return false, err
	}
	if err := who.profile.SaveAuthorities(login); err != nil {
		return false, err
	}
	if err := who.profile.SaveDatabase(r.Service, login); err != nil {
		return false, err
	}
	program, _ := programOf(r.Protocol)
	if program.note != nil {
		return program.note(cmd, who, login)
	}
	return who.filesLead(&program, login, net.LookupHost), nil
}

// printLogin says how to connect. Native says that clients can do so with the files.
func printLogin(cmd *cobra.Command, who *account, r client.Route, native bool) {
	user, name := orElse(r.User, "<user>"), ""
	if r.Name != "" || resource.EnforcesNames(r.Protocol) {
		name = " --db-name=" + orElse(r.Name, "<name>")
	}
	fmt.Fprintf(cmd.OutOrStdout(), `Connection information for database %[1]q has been saved.

You can connect to it now with:

  %[4]s db connect --db-user=%[2]s%[3]s %[1]s

%[5]s
`, r.Service, user, name, who.tsh, ownClient(who, r, native))
}

// ownClient says how a client that tsh does not run gets to the database.
func ownClient(who *account, r client.Route, native bool) string {
	if !native {
		return fmt.Sprintf("or let your own client connect to a local proxy:\n\n  %s proxy db --tunnel %s", who.tsh, r.Service)
	}
	if program, _ := programOf(r.Protocol); program.drivers {
		return fmt.Sprintf("or see what your own client needs with:\n\n  %s db config %s", who.tsh, r.Service)
	}
	return fmt.Sprintf("or see the command for your own client with:\n\n  %s db config --format=cmd %s", who.tsh, r.Service)
}

func dbLogoutCommand(g *global) *cobra.Command {
	chosen := &selector{}
	cmd := &cobra.Command{
		Use:   "logout [DATABASE]",
		Short: "Remove the certificate of a database, or of all",
		Long: `Remove the certificate of a database, or of all, and what tsh db login has written for clients. That works when the login
has expired, too. A database of which nothing is stored, because tsh db connect stores nothing, is no error.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: g.completeLogins,
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := g.kept(cmd.Context())
			if err != nil {
				return err
			}
			names, err := chosen.active(cmd.Context(), who, args)
			if err != nil {
				return err
			}
			all := len(args) == 0 && chosen.empty()
			if len(names) == 0 && !all {
				return chosen.nothingStored(cmd, who, args)
			}
			for _, name := range names {
				if err := forget(who, name); err != nil {
					return err
				}
			}
			told := "all databases"
			switch {
			case !all && len(names) == 1:
				told = fmt.Sprintf("database %q", names[0])
			case !all:
				told = "databases " + strings.Join(names, ", ")
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Logged out of %s\n", told)
			return err
		},
	}
	chosen.addFlags(cmd)
	g.clusterFlag(cmd)
	return cmd
}

// nothingStored ends a logout from what there is no login of. After tsh db connect, whose certificate is never stored, that is
// as it should be.
func (s *selector) nothingStored(cmd *cobra.Command, who *account, args []string) error {
	if len(args) == 1 && s.empty() && who.ended == nil {
		api := who.api()
		defer api.Close()
		if meant, err := s.candidates(cmd.Context(), api, args[0]); err == nil && len(meant) > 0 {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Nothing is stored of database %q: tsh db connect and tsh proxy db --tunnel keep their certificates in memory only.\n", args[0])
			return err
		}
	}
	names, err := activeNames(who)
	if err != nil {
		return err
	}
	return fault.New(fault.NotFound, "you are not logged in to %s; databases that you are logged in to: %s", s.described(args), orElse(strings.Join(names, ", "), "none"))
}

func forget(who *account, service string) error {
	found, err := who.profile.RemoveDatabase(service)
	if err != nil {
		return err
	}
	if !found {
		return fault.New(fault.NotFound, "you are not logged in to database %q; see tsh status", service)
	}
	return removeSections(who.profile, service)
}

// stored returns the stored login of a database.
func stored(who *account, service string) (*client.Credentials, error) {
	login, err := keptLogin(who, service)
	if err != nil {
		return nil, err
	}
	return login, who.checkLogin(login)
}

// checkLogin returns why a stored login of a database cannot be used now, or nil.
func (a *account) checkLogin(login *client.Credentials) error {
	err := login.CheckValid(terminal.Now())
	if err == nil || terminal.Now().Before(login.Cert.NotAfter) {
		return err
	}
	next, service := "", login.Identity.Route.Service
	if a.ended != nil {
		next = "tsh login, and then "
	}
	return fault.Wrap(fault.Unauthenticated, err, "the certificate for database %q expired at %s; for a new one run %s%s db login %s",
		service, login.Cert.NotAfter.UTC().Format(time.RFC3339), next, a.tsh, shellQuote(service))
}

// keptLogin returns the stored login of a database, also one that has ended.
func keptLogin(who *account, service string) (*client.Credentials, error) {
	login, err := who.profile.DatabaseCredentials(service)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, (&selector{}).notLoggedIn(who, []string{service})
	}
	return login, err
}
