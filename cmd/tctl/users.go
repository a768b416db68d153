package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/terminal"
)

// traits are the flags that become traits of a user.
var traits = []struct{ flag, trait, help string }{
	{"logins", "logins", "operating system logins"},
	{"windows-logins", "windows_logins", "Windows logins"},
	{"kubernetes-users", "kubernetes_users", "Kubernetes users"},
	{"kubernetes-groups", "kubernetes_groups", "Kubernetes groups"},
	{"db-users", "db_users", "database accounts"},
	{"db-names", "db_names", "database names"},
	{"db-roles", "db_roles", "roles of provisioned database accounts"},
	{"aws-role-arns", "aws_role_arns", "AWS roles"},
	{"azure-identities", "azure_identities", "Azure identities"},
	{"gcp-service-accounts", "gcp_service_accounts", "Google Cloud service accounts"},
	{"host-user-uid", "host_user_uid", "user id of host users"},
	{"host-user-gid", "host_user_gid", "group id of host users"},
}

func usersCommand(g *global) *cobra.Command {
	cmd := &cobra.Command{Use: "users", Aliases: []string{"user"}, Short: "Manage users"}
	cmd.AddCommand(usersAddCommand(g), usersListCommand(g), usersUpdateCommand(g), usersResetCommand(g), usersRemoveCommand(g))
	return cmd
}

func usersAddCommand(g *global) *cobra.Command {
	var roles []string
	var ttl time.Duration
	var format string
	values := make([][]string, len(traits))
	cmd := &cobra.Command{
		Use:     "add ACCOUNT --roles=ROLE[,ROLE...]",
		Short:   "Make a user and an invite link",
		Example: "  tctl users add --roles=access,db alice",
		Args:    cobra.ExactArgs(1),
		RunE: g.with(func(cmd *cobra.Command, args []string, api *authapi.Client) error {
			if len(trimmed(roles)) == 0 {
				return fault.New(fault.BadParameter, "--roles names no role, and a user without one can do nothing; give at least one, such as --roles=access")
			}
			req := &sallyportv1.CreateUserRequest{Name: args[0], Roles: trimmed(roles), Ttl: durationpb.New(ttl)}
			for i, t := range traits {
				req.Traits = append(req.Traits, &sallyportv1.Trait{Name: t.trait, Values: trimmed(values[i])})
			}
			res, err := api.Users.CreateUser(cmd.Context(), req)
			if err != nil {
				return err
			}
			return printLink(cmd, format, res.GetLink(), ttl, "has been created but requires a password")
		}),
	}
	cmd.Flags().StringSliceVar(&roles, "roles", nil, "`roles` of the user, between commas (required)")
	cmd.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long the invite link works, a `duration` of at most 48h")
	terminal.FormatFlag(cmd, &format, "", "output `format`: text, json or yaml", "", "text", "json", "yaml")
	for i, t := range traits {
		cmd.Flags().StringSliceVar(&values[i], t.flag, nil, "`list` of "+t.help)
	}
	_ = cmd.MarkFlagRequired("roles")
	return cmd
}

func trimmed(values []string) []string {
	var out []string
	for _, value := range values {
		if value = strings.TrimSpace(value); value != "" {
			out = append(out, value)
		}
	}
	return out
}

// shownLink is an invite or reset link as JSON or YAML.
type shownLink struct {
	User    string    `json:"user" yaml:"user"`
	URL     string    `json:"url" yaml:"url"`
	Expires time.Time `json:"expires" yaml:"expires"`
}

func printLink(cmd *cobra.Command, format string, link *sallyportv1.UserLink, ttl time.Duration, what string) error {
	out := cmd.OutOrStdout()
	if format == "json" || format == "yaml" {
		return terminal.Encode(out, format, shownLink{link.GetUser(), link.GetUrl(), link.GetExpires().AsTime()})
	}
	host := strings.SplitN(strings.TrimPrefix(link.GetUrl(), "https://"), "/", 2)[0]
	_, err := fmt.Fprintf(out, "User %q %s. Share this link with the user; it works for %s:\n%s\n\nNOTE: The user's browser must be able to reach %s.\n",
		link.GetUser(), what, terminal.Duration(ttl), link.GetUrl(), host)
	return err
}

func usersResetCommand(g *global) *cobra.Command {
	var ttl time.Duration
	var format string
	cmd := &cobra.Command{
		Use:   "reset ACCOUNT",
		Short: "Remove a user's password and second factors, and make a link to set new ones",
		Args:  cobra.ExactArgs(1),
		RunE: g.with(func(cmd *cobra.Command, args []string, api *authapi.Client) error {
			res, err := api.Users.ResetUser(cmd.Context(), &sallyportv1.ResetUserRequest{Name: args[0], Ttl: durationpb.New(ttl)})
			if err != nil {
				return err
			}
			return printLink(cmd, format, res.GetLink(), ttl, "has been reset")
		}),
	}
	cmd.Flags().DurationVar(&ttl, "ttl", 8*time.Hour, "how long the link works, a `duration` of at most 24h")
	terminal.FormatFlag(cmd, &format, "", "output `format`: text, json or yaml", "", "text", "json", "yaml")
	return cmd
}

func usersListCommand(g *global) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List users",
		Args:  cobra.NoArgs,
		RunE: g.with(func(cmd *cobra.Command, _ []string, api *authapi.Client) error {
			all, err := listResources(cmd.Context(), api, resource.KindUser, false)
			if err != nil {
				return err
			}
			if format != "text" {
				return terminal.Encode(cmd.OutOrStdout(), format, all)
			}
			table := terminal.Table{Header: []string{"User", "Roles"}}
			for _, r := range all {
				table.Rows = append(table.Rows, []string{r.GetName(), strings.Join(r.(*resource.User).Spec.Roles, ",")})
			}
			return table.Write(cmd.OutOrStdout())
		}),
	}
	terminal.FormatFlag(cmd, &format, "", "output `format`: text, json or yaml", "text", "json", "yaml")
	return cmd
}

func usersUpdateCommand(g *global) *cobra.Command {
	var roles []string
	values := make([][]string, len(traits))
	cmd := &cobra.Command{
		Use:   "update ACCOUNT",
		Short: "Replace roles or traits of a user",
		Args:  cobra.ExactArgs(1),
		RunE: g.with(func(cmd *cobra.Command, args []string, api *authapi.Client) error {
			user, err := getUser(cmd.Context(), api, args[0])
			if err != nil {
				return err
			}
			var changes []string
			before := user.Spec.Roles
			if cmd.Flags().Changed("set-roles") {
				user.Spec.Roles = trimmed(roles)
				changes = append(changes, "roles: "+strings.Join(user.Spec.Roles, ","))
			}
			for i, t := range traits {
				if !cmd.Flags().Changed("set-" + t.flag) {
					continue
				}
				if user.Spec.Traits == nil {
					user.Spec.Traits = resource.Traits{}
				}
				user.Spec.Traits[t.trait] = trimmed(values[i])
				changes = append(changes, t.help+": "+strings.Join(user.Spec.Traits[t.trait], ","))
			}
			if len(changes) == 0 {
				return fault.New(fault.BadParameter, "nothing to change was given; use --set-roles, --set-db-users or another --set- flag")
			}
			if err := user.Validate(); err != nil {
				return err
			}
			if _, err := putResource(cmd.Context(), api, user); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "User %s has been updated:\n", args[0])
			for _, change := range changes {
				fmt.Fprintf(cmd.OutOrStdout(), "\tNew %s\n", change)
			}
			return noteLost(cmd.ErrOrStderr(), args[0], before, user.Spec.Roles)
		}),
	}
	cmd.Flags().StringSliceVar(&roles, "set-roles", nil, "new `roles`")
	for i, t := range traits {
		cmd.Flags().StringSliceVar(&values[i], "set-"+t.flag, nil, "new `list` of "+t.help)
	}
	return cmd
}

func getUser(ctx context.Context, api *authapi.Client, name string) (*resource.User, error) {
	r, err := getResource(ctx, api, reference{resource.KindUser, name}, false)
	if err != nil {
		return nil, err
	}
	return r.(*resource.User), nil
}

func usersRemoveCommand(g *global) *cobra.Command {
	return &cobra.Command{
		Use:     "rm ACCOUNT[,ACCOUNT...]",
		Aliases: []string{"del"},
		Short:   "Remove users",
		Args:    cobra.ExactArgs(1),
		RunE: g.with(func(cmd *cobra.Command, args []string, api *authapi.Client) error {
			for _, name := range slices.Compact(strings.Split(args[0], ",")) {
				name = strings.TrimSpace(name)
				if err := deleteResource(cmd.Context(), api, reference{resource.KindUser, name}); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "User %q has been deleted\n", name)
			}
			return nil
		}),
	}
}
