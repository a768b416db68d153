package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/access"
	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/terminal"
)

func tokensCommand(g *global) *cobra.Command {
	cmd := &cobra.Command{Use: "tokens", Aliases: []string{"token"}, Short: "Manage the tokens with which hosts join"}
	cmd.AddCommand(tokensAddCommand(g), tokensListCommand(g), tokensRemoveCommand(g))
	return cmd
}

// tokenFlags are those of tokens add.
type tokenFlags struct {
	types, value, labels, format string
	ttl                          time.Duration
	dbName, dbProtocol, dbURI    string
	appName, appURI              string
}

func tokensAddCommand(g *global) *cobra.Command {
	f := &tokenFlags{}
	cmd := &cobra.Command{
		Use:   "add --type=TYPE[,TYPE...]",
		Short: "Make a join token",
		Long: `Make a join token. Without --format the output tells what to do with it on the new host; with --format=text
it is the token alone, ready to be saved in a file.`,
		Example: "  tctl tokens add --type=db --format=text > /tmp/token",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd, g) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.types, "type", "", "`services` that may join with it: db, proxy, auth, discovery, node, app, kube, ... (required)")
	flags.StringVar(&f.value, "value", "", "`value` of the token; 32 random hexadecimal digits by default")
	flags.StringVar(&f.labels, "labels", "", "`labels` of the token, key=value,...")
	flags.DurationVar(&f.ttl, "ttl", 30*time.Minute, "how long the token can be used, a `duration`")
	terminal.FormatFlag(cmd, &f.format, "", "output `format`: text, json or yaml; instructions by default", "", "text", "json", "yaml")
	flags.StringVar(&f.dbName, "db-name", "", "`name` of the database, for the instructions")
	flags.StringVar(&f.dbProtocol, "db-protocol", "", "`protocol` of the database, for the instructions")
	flags.StringVar(&f.dbURI, "db-uri", "", "`address` of the database, for the instructions")
	flags.StringVar(&f.appName, "app-name", "example-app", "`name` of the application, for the instructions")
	flags.StringVar(&f.appURI, "app-uri", "http://localhost:8080", "`address` of the application, for the instructions")
	terminal.Choices(cmd, "type", "db", "proxy", "db,proxy")
	_ = cmd.MarkFlagRequired("type")
	return cmd
}

// shownToken is a new token as JSON or YAML.
type shownToken struct {
	Expires time.Time `json:"expires" yaml:"expires"`
	Roles   []string  `json:"roles" yaml:"roles"`
	Token   string    `json:"token" yaml:"token"`
}

func (f *tokenFlags) run(cmd *cobra.Command, g *global) error {
	labels, err := access.ParseLabels(f.labels)
	if err != nil {
		return err
	}
	roles, err := resource.ParseSystemRoles(f.types)
	if err != nil {
		return err
	}
	if f.ttl < time.Second {
		return fault.New(fault.BadParameter, "--ttl: a token must live at least a second; leave --ttl out for half an hour")
	}
	api, err := g.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer api.Close()
	res, err := api.Join.CreateToken(cmd.Context(), &sallyportv1.CreateTokenRequest{
		Roles: strings.Split(f.types, ","), TtlSeconds: int64(f.ttl / time.Second), Value: f.value, Labels: labels,
	})
	if err != nil {
		return err
	}
	for _, role := range roles {
		switch {
		case role == resource.RoleAuth:
			fmt.Fprintln(cmd.ErrOrStderr(), "NOTE: an auth server of this version does not join with a token: the first one makes the cluster, and there is no other.")
		case !slices.Contains(ownServices, role):
			fmt.Fprintf(cmd.ErrOrStderr(), "NOTE: this version has no %s service; only programs of others can join with that type.\n", strings.ToLower(string(role)))
		}
	}
	out := cmd.OutOrStdout()
	switch f.format {
	case "text":
		_, err = fmt.Fprintln(out, res.GetToken())
		return err
	case "json", "yaml":
		return terminal.EncodeIndented(out, f.format, shownToken{res.GetExpires().AsTime(), res.GetRoles(), res.GetToken()}, 1)
	default:
		return f.instruct(cmd, out, api, res)
	}
}

// instruct tells what to do with a new token.
func (f *tokenFlags) instruct(cmd *cobra.Command, out io.Writer, api *authapi.Client, res *sallyportv1.CreateTokenResponse) error {
	info, err := api.Cluster.Ping(cmd.Context(), &sallyportv1.PingRequest{})
	if err != nil {
		return err
	}
	authorities, err := api.Cluster.GetAuthorities(cmd.Context(), &sallyportv1.GetAuthoritiesRequest{})
	if err != nil {
		return err
	}
	proxy, join := client.WithPort("<proxy-address>"), "<auth-address>:3025" // the first proxy has no other to join through
	if addresses := info.GetProxyAddresses(); len(addresses) > 0 {
		proxy, join = addresses[0], addresses[0]
	}
	var pins strings.Builder
	for _, pin := range authorities.GetPins() {
		fmt.Fprintf(&pins, "   --ca-pin=%s \\\n", pin)
	}
	fmt.Fprintf(out, "The join token: %s\nIt can be used for %s.\n\n", res.GetToken(), life(res.GetExpires().AsTime()))
	if slices.Contains(res.GetRoles(), string(resource.RoleDb)) {
		fmt.Fprintf(out, "On the host of the Database Service, write its configuration:\n\n"+
			"> teleport db configure create \\\n   --token=%s \\\n%s   --proxy=%s \\\n   --name=%s \\\n   --protocol=%s \\\n   --uri=%s \\\n   --output file:///etc/teleport.yaml\n\n"+
			"and start it:\n\n> teleport start -c /etc/teleport.yaml\n", res.GetToken(), pins.String(), proxy, f.dbName, f.dbProtocol, f.dbURI)
		return nil
	}
	if slices.Contains(res.GetRoles(), string(resource.RoleDiscovery)) {
		fmt.Fprintf(out, "On the host of the Discovery Service, write its configuration, such as this, to /etc/teleport.yaml:\n\n"+
			"version: v3\nteleport:\n  proxy_server: %s\n  join_params: {method: token, token_name: %s}\n  ca_pin: [%s]\nauth_service: {enabled: no}\nproxy_service: {enabled: no}\n"+
			"discovery_service:\n  enabled: yes\n  aws:\n  - types: [rds]\n    regions: [us-west-1]\n    tags: {\"*\": \"*\"}\n\n"+
			"and start it:\n\n> teleport start -c /etc/teleport.yaml\n", proxy, res.GetToken(), strings.Join(authorities.GetPins(), ", "))
		return nil
	}
	if !slices.Contains(res.GetRoles(), string(resource.RoleProxy)) {
		return nil // nothing that this version could start
	}
	fmt.Fprintf(out, "On the new host:\n\n> teleport start \\\n   --roles=proxy \\\n   --token=%s \\\n%s   --auth-server=%s\n",
		res.GetToken(), pins.String(), join)
	return nil
}

// ownServices are the types of services that the daemon of this version has.
var ownServices = []resource.SystemRole{resource.RoleProxy, resource.RoleDb, resource.RoleDiscovery}

// life returns in words how long it is until a time.
func life(until time.Time) string {
	left := time.Until(until).Round(time.Second)
	switch {
	case left == time.Minute:
		return "1 minute"
	case left%time.Minute == 0:
		return fmt.Sprintf("%d minutes", left/time.Minute)
	default:
		return terminal.Duration(left)
	}
}

func tokensListCommand(g *global) *cobra.Command {
	var format, labels string
	var secrets bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List join tokens",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wanted, err := access.ParseLabels(labels)
			if err != nil {
				return err
			}
			api, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			all, err := listResources(cmd.Context(), api, resource.KindToken, secrets)
			if err != nil {
				return err
			}
			return printTokens(cmd.OutOrStdout(), format, withLabels(all, wanted), secrets)
		},
	}
	terminal.FormatFlag(cmd, &format, "", "output `format`: text (names only), json or yaml; a table by default", "", "text", "json", "yaml")
	cmd.Flags().StringVar(&labels, "labels", "", "show tokens with these `labels` only, key=value,...")
	cmd.Flags().BoolVar(&secrets, "with-secrets", false, "show whole tokens, which are secrets")
	return cmd
}

func withLabels(all []resource.Resource, wanted map[string]string) []*resource.Token {
	var tokens []*resource.Token
	for _, r := range all {
		matches := true
		for key, value := range wanted {
			matches = matches && r.Meta().Labels[key] == value
		}
		if token, ok := r.(*resource.Token); ok && matches {
			tokens = append(tokens, token)
		}
	}
	slices.SortFunc(tokens, func(a, b *resource.Token) int { return expiry(a).Compare(expiry(b)) })
	return tokens
}

var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func expiry(t *resource.Token) time.Time {
	if t.Metadata.Expires == nil {
		return never
	}
	return *t.Metadata.Expires
}

func printTokens(out io.Writer, format string, tokens []*resource.Token, secrets bool) error {
	if !secrets {
		for _, token := range tokens {
			token.Metadata.Name = token.ShownName()
		}
	}
	switch format {
	case "json", "yaml":
		if tokens == nil {
			tokens = []*resource.Token{}
		}
		return terminal.Encode(out, format, tokens)
	case "text":
		if len(tokens) == 0 {
			fmt.Fprintln(out, "No join tokens.")
		}
		for _, token := range tokens {
			fmt.Fprintln(out, token.Metadata.Name)
		}
		return nil
	}
	table := terminal.Table{Header: []string{"Token", "Type", "Labels", "Expiry Time (UTC)"}, Whole: []string{"Token"}}
	for _, token := range tokens {
		var types []string
		for _, role := range token.Spec.Roles {
			types = append(types, string(role))
		}
		expires := "never"
		if token.Metadata.Expires != nil {
			left := time.Until(*token.Metadata.Expires).Round(time.Second)
			expires = fmt.Sprintf("%s (%s)", token.Metadata.Expires.UTC().Format("02 Jan 06 15:04 MST"), left)
		}
		table.Rows = append(table.Rows, []string{token.Metadata.Name, strings.Join(types, ","), terminal.Labels(token.Metadata.Labels), expires})
	}
	return table.Write(out)
}

func tokensRemoveCommand(g *global) *cobra.Command {
	return &cobra.Command{
		Use:     "rm TOKEN",
		Aliases: []string{"del"},
		Short:   "Remove a join token",
		Args:    cobra.ExactArgs(1),
		RunE: g.with(func(cmd *cobra.Command, args []string, api *authapi.Client) error {
			ref := reference{resource.KindToken, args[0]}
			if err := ref.refuseMasked(); err != nil {
				return err
			}
			if err := deleteResource(cmd.Context(), api, ref); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Token %s has been deleted\n", ref.shown())
			return err
		}),
	}
}
