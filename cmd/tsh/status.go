package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

func statusCommand(g *global) *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show logins, or the identity file that is used instead",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := client.OpenHome(os.Getenv("TELEPORT_HOME"))
			if err != nil {
				return err
			}
			if g.identity != "" {
				return g.printIdentity(cmd, home, f)
			}
			current, err := g.current(home)
			if err != nil {
				return err
			}
			return printStatus(cmd, home, current, f)
		},
	}
	terminal.FormatFlag(cmd, &f.format, "f", "output `format`: text, json or yaml", "text", "json", "yaml")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "show traits too")
	cmd.Flags().BoolVar(&f.client, "client", false, "accepted, without effect: only this machine is asked in any case")
	return cmd
}

// statusFlags are those of status.
type statusFlags struct {
	format          string
	verbose, client bool
}

// shownProfile is a login as JSON or YAML.
type shownProfile struct {
	ProfileURL string              `json:"profile_url" yaml:"profile_url"`
	Username   string              `json:"username" yaml:"username"`
	Cluster    string              `json:"cluster" yaml:"cluster"`
	Roles      []string            `json:"roles" yaml:"roles"`
	Traits     map[string][]string `json:"traits" yaml:"traits"`
	Databases  []string            `json:"databases" yaml:"databases"`
	ValidUntil time.Time           `json:"valid_until" yaml:"valid_until"`

	// For programs that expect them; there is nothing to say.
	Kubernetes bool     `json:"kubernetes_enabled" yaml:"kubernetes_enabled"`
	Extensions []string `json:"extensions" yaml:"extensions"`
}

// shownStatus is what tsh status shows as JSON or YAML.
type shownStatus struct {
	Active   *shownProfile   `json:"active" yaml:"active"`
	Profiles []*shownProfile `json:"profiles" yaml:"profiles"`
}

// printIdentity shows an identity file. Without the proxy it is not known which database logins belong to it.
func (g *global) printIdentity(cmd *cobra.Command, home client.Home, f statusFlags) error {
	credentials, err := client.ReadIdentityFile(g.identity)
	if err != nil {
		return err
	}
	shown := describe(credentials)
	if g.proxy != "" {
		path, err := filepath.Abs(g.identity)
		if err != nil {
			return fault.Wrap(fault.BadParameter, err, "%s has no absolute path", g.identity)
		}
		if err := shown.addProfile(home.ForIdentity(path, g.proxy, credentials)); err != nil {
			return err
		}
	}
	return shownStatus{Active: shown, Profiles: []*shownProfile{}}.print(cmd, f)
}

func printStatus(cmd *cobra.Command, home client.Home, current *client.Profile, f statusFlags) error {
	all, err := home.Profiles()
	if err != nil {
		return err
	}
	status := shownStatus{Profiles: []*shownProfile{}}
	for _, p := range all {
		shown, err := show(p)
		if err != nil {
			continue // its keys are gone: not a login
		}
		if p.WebProxyAddr == current.WebProxyAddr {
			status.Active = shown
		} else {
			status.Profiles = append(status.Profiles, shown)
		}
	}
	if status.Active == nil {
		return client.ErrNotLoggedIn
	}
	return status.print(cmd, f)
}

func (s shownStatus) print(cmd *cobra.Command, f statusFlags) error {
	out := cmd.OutOrStdout()
	if f.format != "text" {
		return terminal.Encode(out, f.format, s)
	}
	printProfile(out, "> ", s.Active, f.verbose)
	for _, p := range s.Profiles {
		fmt.Fprintln(out)
		printProfile(out, "  ", p, f.verbose)
	}
	return nil
}

func show(p *client.Profile) (*shownProfile, error) {
	credentials, err := p.Credentials()
	if err != nil {
		return nil, err
	}
	shown := describe(credentials)
	return shown, shown.addProfile(p)
}

func describe(credentials *client.Credentials) *shownProfile {
	id := credentials.Identity
	return &shownProfile{Username: id.Name, Cluster: id.Cluster, Roles: id.Roles, Traits: id.Traits, Databases: []string{}, ValidUntil: id.Expires, Extensions: []string{}}
}

// addProfile adds what is kept on this machine beside the credentials.
func (s *shownProfile) addProfile(p *client.Profile) error {
	s.ProfileURL = "https://" + p.WebProxyAddr
	databases, err := p.Databases()
	for _, db := range databases {
		s.Databases = append(s.Databases, db.Identity.Route.Service)
	}
	return err
}

func printProfile(out io.Writer, mark string, p *shownProfile, verbose bool) {
	left := time.Until(p.ValidUntil).Round(time.Minute)
	validity := fmt.Sprintf("valid for %s", terminal.Duration(left))
	if left <= 0 {
		validity = "EXPIRED"
	}
	rows := [][2]string{
		{"Profile URL", p.ProfileURL}, {"Logged in as", p.Username}, {"Cluster", p.Cluster}, {"Roles", strings.Join(p.Roles, ", ")},
	}
	if p.ProfileURL == "" {
		rows = rows[1:]
	}
	for _, trait := range slices.Sorted(maps.Keys(p.Traits)) {
		if values := p.Traits[trait]; verbose && len(values) > 0 {
			rows = append(rows, [2]string{"Trait " + trait, strings.Join(values, ", ")})
		}
	}
	if len(p.Databases) > 0 {
		rows = append(rows, [2]string{"Databases", strings.Join(p.Databases, ", ")})
	}
	rows = append(rows, [2]string{"Valid until", p.ValidUntil.UTC().Format("2006-01-02 15:04:05 -0700 MST") + " [" + validity + "]"})
	for i, row := range rows {
		prefix := "  "
		if i == 0 {
			prefix = mark
		}
		fmt.Fprintf(out, "%s%-20s%s\n", prefix, row[0]+":", terminal.Clean(row[1]))
	}
}
