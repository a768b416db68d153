package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/client"
	"sallyport/internal/terminal"
)

func statusCommand(g *global) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show logins",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := client.OpenHome(os.Getenv("TELEPORT_HOME"))
			if err != nil {
				return err
			}
			current, err := home.Current(g.proxy)
			if err != nil {
				return err
			}
			return printStatus(cmd, home, current, format)
		},
	}
	terminal.FormatFlag(cmd, &format, "f", "output `format`: text, json or yaml", "text", "json", "yaml")
	return cmd
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
}

// shownStatus is what tsh status shows as JSON or YAML.
type shownStatus struct {
	Active   *shownProfile   `json:"active" yaml:"active"`
	Profiles []*shownProfile `json:"profiles" yaml:"profiles"`
}

func printStatus(cmd *cobra.Command, home client.Home, current *client.Profile, format string) error {
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
	out := cmd.OutOrStdout()
	if format != "text" {
		return terminal.Encode(out, format, status)
	}
	printProfile(out, "> ", status.Active)
	for _, p := range status.Profiles {
		fmt.Fprintln(out)
		printProfile(out, "  ", p)
	}
	return nil
}

func show(p *client.Profile) (*shownProfile, error) {
	credentials, err := p.Credentials()
	if err != nil {
		return nil, err
	}
	id := credentials.Identity
	shown := &shownProfile{ProfileURL: "https://" + p.WebProxyAddr, Username: id.Name, Cluster: id.Cluster, Roles: id.Roles,
		Traits: id.Traits, Databases: []string{}, ValidUntil: id.Expires}
	databases, err := p.Databases()
	if err != nil {
		return nil, err
	}
	for _, db := range databases {
		shown.Databases = append(shown.Databases, db.Identity.Route.Service)
	}
	return shown, nil
}

func printProfile(out io.Writer, mark string, p *shownProfile) {
	left := time.Until(p.ValidUntil).Round(time.Minute)
	validity := fmt.Sprintf("valid for %s", terminal.Duration(left))
	if left <= 0 {
		validity = "EXPIRED"
	}
	rows := [][2]string{
		{"Profile URL", p.ProfileURL}, {"Logged in as", p.Username}, {"Cluster", p.Cluster}, {"Roles", strings.Join(p.Roles, ", ")},
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
		fmt.Fprintf(out, "%s%-20s%s\n", prefix, row[0]+":", row[1])
	}
}
