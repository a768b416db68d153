package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"sallyport/internal/authapi"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/terminal"
)

// reference is "kind", "kind/name" or "kind/subkind/name".
type reference struct{ kind, name string }

// shown is the name as people may see it.
func (r reference) shown() string {
	if r.kind == resource.KindToken {
		return resource.MaskToken(r.name)
	}
	return r.name
}

// refuseMasked refuses the name of a token as lists show it: it is that of no token.
func (r reference) refuseMasked() error {
	if r.kind == resource.KindToken && r.name != "" && r.name == resource.MaskToken(r.name) {
		return fault.New(fault.BadParameter, "%q is what lists show of a token instead of its secret name; use --with-secrets with tctl get tokens or tctl tokens ls to see the name", r.name)
	}
	return nil
}

func parseReference(s string) (reference, error) {
	parts := strings.Split(s, "/")
	kind, ok := resource.KindByAlias(parts[0])
	if !ok {
		return reference{}, fault.New(fault.BadParameter, "%q is not a kind of resource that this cluster has; use one of %s", parts[0], strings.Join(resource.Kinds(), ", "))
	}
	ref := reference{kind: kind}
	if len(parts) > 1 {
		ref.name = parts[len(parts)-1]
	}
	if name, single := resource.SingletonName(kind); single {
		ref.name = name
	}
	return ref, ref.refuseMasked()
}

func getCommand(g *global) *cobra.Command {
	var format string
	var secrets, verbose bool
	cmd := &cobra.Command{
		Use:     "get KIND[/NAME][,KIND[/NAME]...]",
		Short:   "Show resources",
		Example: "  tctl get roles\n  tctl get role/db\n  tctl get users/alice --format=json",
		Long: `Show resources. KIND may be all, which stands for every kind that can be created again, with secrets unless
--no-with-secrets is given.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeKinds,
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "all" && !cmd.Flags().Changed("with-secrets") {
				secrets = true // so that all of it can be created again
			}
			refs, err := references(args[0])
			if err != nil {
				return err
			}
			api, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			var all []listing
			for _, ref := range refs {
				found, err := fetch(cmd.Context(), api, ref, secrets)
				if err != nil {
					return err
				}
				all = append(all, found)
			}
			if !secrets {
				maskTokens(all)
			}
			if format == "text" {
				return printTables(cmd.OutOrStdout(), all, verbose)
			}
			return printResources(cmd.OutOrStdout(), format, all)
		},
	}
	terminal.FormatFlag(cmd, &format, "", "output `format`: yaml, json or text", "yaml", "json", "text")
	cmd.Flags().BoolVar(&secrets, "with-secrets", false, "show secrets too; only on the auth server's host")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "with --format=text: cut nothing short, and show all labels")
	return cmd
}

// references reads a list; "all" stands for every kind that can be written again.
func references(arg string) ([]reference, error) {
	words := strings.Split(arg, ",")
	if arg == "all" {
		words = resource.WritableKinds()
	}
	refs := make([]reference, len(words))
	for i, word := range words {
		var err error
		if refs[i], err = parseReference(strings.TrimSpace(word)); err != nil {
			return nil, err
		}
	}
	return refs, nil
}

// listing is what was found of one kind.
type listing struct {
	kind  string
	found []resource.Resource
}

func fetch(ctx context.Context, api *authapi.Client, ref reference, secrets bool) (l listing, err error) {
	l.kind = ref.kind
	switch {
	case ref.name == "":
		l.found, err = listResources(ctx, api, ref.kind, secrets)
	case ref.kind == resource.KindDatabaseServer: // one for each agent
		l.found, err = listResources(ctx, api, ref.kind, secrets)
		if l.found = named(l.found, ref.name); err == nil && len(l.found) == 0 {
			err = errNone(ref)
		}
	default:
		var one resource.Resource
		one, err = getResource(ctx, api, ref, secrets)
		l.found = []resource.Resource{one}
	}
	return l, err
}

func named(all []resource.Resource, name string) []resource.Resource {
	var found []resource.Resource
	for _, r := range all {
		if r.GetName() == name {
			found = append(found, r)
		}
	}
	return found
}

// maskTokens hides the values of join tokens, which are their names.
func maskTokens(all []listing) {
	for _, l := range all {
		for _, r := range l.found {
			if token, ok := r.(*resource.Token); ok {
				token.Metadata.Name = token.ShownName()
			}
		}
	}
}

// printResources prints JSON, which is a list, or YAML, which is a document for each resource.
func printResources(out io.Writer, format string, all []listing) error {
	flat := []resource.Resource{}
	for _, l := range all {
		flat = append(flat, l.found...)
	}
	if format == "json" {
		return terminal.Encode(out, "json", flat)
	}
	for i, r := range flat {
		if i > 0 {
			fmt.Fprintln(out, "---")
		}
		text, err := resource.ToYAML(r)
		if err != nil {
			return err
		}
		if _, err := out.Write(text); err != nil {
			return err
		}
	}
	return nil
}

func rmCommand(g *global) *cobra.Command {
	return &cobra.Command{
		Use:     "rm KIND/NAME",
		Aliases: []string{"del"},
		Short:   "Remove a resource; a setting goes back to its default",
		Args:    cobra.ExactArgs(1),

		ValidArgsFunction: completeKinds,
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := parseReference(args[0])
			if err != nil {
				return err
			}
			if ref.name == "" {
				return fault.New(fault.BadParameter, "name what to remove, as in tctl rm %s/NAME", args[0])
			}
			api, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			if err := deleteResource(cmd.Context(), api, ref); err != nil {
				return err
			}
			what := "deleted"
			if _, single := resource.SingletonName(ref.kind); single {
				what = "reset to its default"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %q has been %s\n", ref.kind, ref.shown(), what)
			return err
		},
	}
}

// completeKinds completes the kind of a reference; the name is not known to the shell.
func completeKinds(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || strings.Contains(word, "/") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return resource.Kinds(), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// newName is the name of a resource that nobody names.
func newName() string { return uuid.NewString() }
