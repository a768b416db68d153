package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/internal/access"
	"sallyport/internal/resource"
	"sallyport/internal/terminal"
)

func dbCommand(g *global) *cobra.Command {
	cmd := &cobra.Command{Use: "db", Short: "Look at databases and check them"}
	cmd.AddCommand(dbListCommand(g), dbCheckCommand(g))
	return cmd
}

func dbListCommand(g *global) *cobra.Command {
	var format, search, query string
	var verbose bool
	cmd := &cobra.Command{
		Use:     "ls [LABELS]",
		Short:   "List the databases that agents serve, one line for each agent",
		Example: "  tctl db ls env=prod\n  tctl db ls --query='labels[\"env\"] == \"prod\"'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			matcher, err := access.ParseFilter(strings.Join(args, ""), search, query)
			if err != nil {
				return err
			}
			api, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			all, err := listResources(cmd.Context(), api, resource.KindDatabaseServer, false)
			if err != nil {
				return err
			}
			servers := slices.DeleteFunc(all, func(r resource.Resource) bool {
				return !matcher.Match(r.(*resource.DatabaseServer).Spec.Database)
			})
			slices.SortFunc(servers, func(a, b resource.Resource) int {
				x, y := a.(*resource.DatabaseServer), b.(*resource.DatabaseServer)
				return cmp.Or(cmp.Compare(x.Spec.Hostname, y.Spec.Hostname), cmp.Compare(x.GetName(), y.GetName()))
			})
			switch format {
			case "json":
				return terminal.EncodeIndented(cmd.OutOrStdout(), "json", servers, 4)
			case "yaml":
				return printResources(cmd.OutOrStdout(), "yaml", []listing{{resource.KindDatabaseServer, servers}})
			}
			return printTables(cmd.OutOrStdout(), []listing{{resource.KindDatabaseServer, servers}}, verbose)
		},
	}
	terminal.FormatFlag(cmd, &format, "", "output `format`: text, json or yaml", "text", "json", "yaml")
	cmd.Flags().StringVar(&search, "search", "", "show databases with all of these `words` only, comma-separated")
	cmd.Flags().StringVar(&query, "query", "", "show databases that the `predicate` holds for")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "cut nothing short, and show all labels")
	return cmd
}
