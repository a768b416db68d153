package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/authapi"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/terminal"
)

func createCommand(g *global) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "create [FILE]",
		Short: "Create resources from a file or from standard input",
		Long: `Create the resources of a YAML or JSON file, or of standard input. A file may hold several documents; they
are created in order, up to the first that fails.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := readResources(cmd, args)
			if err != nil {
				return err
			}
			for _, r := range all {
				if err := refuseCreation(r); err != nil {
					return err
				}
			}
			api, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			before := serversOfFiles(cmd.Context(), api, all)
			for _, r := range all {
				if over := r.Meta().Expires; len(all) > 1 && over != nil && over.Before(terminal.Now()) {
					fmt.Fprintf(cmd.ErrOrStderr(), "WARNING: %s %q was left out: it expired at %s\n", r.GetKind(), shownName(r), over.UTC().Format(time.DateTime+" UTC"))
					continue
				}
				r.Meta().Revision = "" // of what it was read from; to replace is what --force means
				if err := createOne(cmd, api, before, r, force); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "replace resources that exist")
	return cmd
}

func readResources(cmd *cobra.Command, args []string) ([]resource.Resource, error) {
	if len(args) == 0 || args[0] == "-" {
		data, err := io.ReadAll(io.LimitReader(terminal.Interruptible(cmd.Context(), cmd.InOrStdin()), 2<<20))
		if err != nil {
			return nil, fault.Wrap(fault.BadParameter, err, "standard input cannot be read: %s", err)
		}
		return resource.ParseYAML(data)
	}
	data, err := os.ReadFile(args[0])
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, terminal.UsageError(cmd, fault.Wrap(fault.NotFound, err, "there is no file %s; name a file with resources, or give them on standard input", args[0]))
	case err != nil:
		return nil, fault.Wrap(fault.BadParameter, err, "the resources cannot be read: %s", err)
	}
	return resource.ParseYAML(data)
}

// refuseCreation refuses what nobody can create, and what would not be what it was read from.
func refuseCreation(r resource.Resource) error {
	kind := r.GetKind()
	switch {
	case kind == resource.KindCertAuthority || kind == resource.KindClusterName:
		return fault.New(fault.BadParameter, "a %s is made by the auth server with the cluster, and cannot be created", kind)
	case !slices.Contains(resource.WritableKinds(), kind):
		return fault.New(fault.BadParameter, "a %s is written by the service that it is about, and cannot be created; start the service instead", kind)
	}
	return reference{kind, r.GetName()}.refuseMasked()
}

// createOne creates a resource. Settings always exist, and are replaced.
func createOne(cmd *cobra.Command, api *authapi.Client, before []resource.Resource, r resource.Resource, force bool) error {
	_, single := resource.SingletonName(r.GetKind())
	if !force && !single {
		err := createResource(cmd.Context(), api, r)
		if fault.Is(err, fault.AlreadyExists) {
			return fault.New(fault.AlreadyExists, "%s; replace it with -f or --force", fault.Message(err))
		}
		if err != nil {
			return err
		}
		return created(cmd, api, before, r, "created")
	}
	roles := storedRoles(cmd.Context(), api, r)
	isNew, err := putResource(cmd.Context(), api, r)
	if err != nil {
		return err
	}
	if isNew {
		return created(cmd, api, before, r, "created")
	}
	if err := created(cmd, api, before, r, "updated"); err != nil {
		return err
	}
	return noteLost(cmd.ErrOrStderr(), r.GetName(), roles, rolesOf(r))
}

// shownName is a resource's name, without the secret that the name of a token is.
func shownName(r resource.Resource) string {
	if token, ok := r.(*resource.Token); ok {
		return token.ShownName()
	}
	return r.GetName()
}

// created says what has become of a resource, and what may be wrong with it. Before are the servers of databases that files named
// before it was written.
func created(cmd *cobra.Command, api *authapi.Client, before []resource.Resource, r resource.Resource, what string) error {
	if err := announce(cmd.OutOrStdout(), cmd.ErrOrStderr(), r, what); err != nil {
		return err
	}
	if db, ok := r.(*resource.Database); ok {
		noteDisplaced(cmd.ErrOrStderr(), before, db)
		noteUnserved(cmd.Context(), cmd.ErrOrStderr(), api, db)
	}
	return nil
}

func announce(out, warnings io.Writer, r resource.Resource, what string) error {
	if _, err := fmt.Fprintf(out, "%s %q has been %s\n", r.GetKind(), shownName(r), what); err != nil {
		return err
	}
	for _, warning := range resource.Warnings(r) {
		if _, err := fmt.Fprintf(warnings, "WARNING: %s %s\n", warning.Path, terminal.Clean(warning.Message)); err != nil {
			return err
		}
	}
	return nil
}
