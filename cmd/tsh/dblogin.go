package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"sallyport/internal/authapi"
	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

func dbLoginCommand(g *global) *cobra.Command {
	c := &choice{}
	cmd := &cobra.Command{
		Use:   "login [DATABASE]",
		Short: "Store a certificate for a database, for clients that use certificate files",
		Long: `Store a certificate for one database, and for PostgreSQL an entry in ~/.pg_service.conf. Clients then connect with
the files that tsh db env and tsh db config show.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := g.account()
			if err != nil {
				return err
			}
			api := who.api()
			defer api.Close()
			db, err := c.pick(cmd.Context(), who, api, args)
			if err != nil {
				return err
			}
			// User and name are only defaults here: what the client says later is checked then.
			r := client.Route{Service: db.GetName(), Protocol: db.Spec.Protocol, User: c.dbUser, Name: c.dbName, ProxyTerminated: true}
			if err := storeLogin(cmd.Context(), who, api, r); err != nil {
				return err
			}
			printLogin(cmd, r)
			return nil
		},
	}
	c.addFlags(cmd)
	return cmd
}

// storeLogin gets a certificate for the database and writes what clients need.
func storeLogin(ctx context.Context, who *account, api *authapi.Client, r client.Route) error {
	login, err := client.DatabaseLogin(ctx, api, r, 0)
	if err != nil {
		return err
	}
	if err := who.profile.SaveAuthorities(login); err != nil {
		return err
	}
	if err := who.profile.SaveDatabase(r.Service, login); err != nil {
		return err
	}
	return writeServiceSection(who.profile, login)
}

func printLogin(cmd *cobra.Command, r client.Route) {
	user, name := orElse(r.User, "<user>"), orElse(r.Name, "<name>")
	fmt.Fprintf(cmd.OutOrStdout(), `Connection information for database %[1]q has been saved.

You can connect to it now with:

  tsh db connect --db-user=%[2]s --db-name=%[3]s %[1]s

or see the command for your own client with:

  tsh db config --format=cmd %[1]s
`, r.Service, user, name)
}

func dbLogoutCommand(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "logout [DATABASE]",
		Short: "Remove the certificate of a database, or of all",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := g.account()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if err := forget(who, args[0]); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "Logged out of database %q\n", args[0])
				return nil
			}
			active, err := who.profile.Databases()
			if err != nil {
				return err
			}
			for _, login := range active {
				if err := forget(who, login.Identity.Route.Service); err != nil {
					return err
				}
			}
			fmt.Fprintln(cmd.OutOrStdout(), "Logged out of all databases")
			return nil
		},
	}
}

func forget(who *account, service string) error {
	found, err := who.profile.RemoveDatabase(service)
	if err != nil {
		return err
	}
	if !found {
		return fault.New(fault.NotFound, "you are not logged in to database %q; see tsh status", service)
	}
	return removeServiceSection(who.profile, service)
}

// stored returns the stored login of the database that is meant.
func stored(who *account, args []string) (*client.Credentials, error) {
	service := ""
	if len(args) == 1 {
		service = args[0]
	} else {
		var err error
		if service, err = onlyActive(who); err != nil {
			return nil, err
		}
	}
	login, err := who.profile.DatabaseCredentials(service)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "you are not logged in to database %q; run tsh db login %s", service, service)
	}
	if err != nil {
		return nil, err
	}
	return login, login.CheckValid(terminal.Now())
}
