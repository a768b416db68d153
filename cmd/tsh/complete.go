package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/client"
)

// completeTime is how long a shell waits for the completion of a word.
const completeTime = 3 * time.Second

// completeDatabases completes the databases that the user can see. Whatever goes wrong, there is nothing to
// complete.
func (g *global) completeDatabases(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
	defer cancel()
	who, err := g.account(ctx)
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	api := who.api()
	defer api.Close()
	all, _ := client.ListDatabases(ctx, api, "")
	var names []string
	for _, db := range all {
		names = append(names, cobra.CompletionWithDesc(db.GetName(), db.Metadata.Description))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeLogins completes the databases that the user is logged in to.
func (g *global) completeLogins(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
	defer cancel()
	who, err := g.account(ctx)
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, _ := activeNames(who)
	return names, cobra.ShellCompDirectiveNoFileComp
}
