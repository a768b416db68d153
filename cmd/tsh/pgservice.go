package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/durable"
	"sallyport/internal/fault"
)

// serviceFile returns the path of libpq's connection service file.
func serviceFile() (string, error) {
	if path := os.Getenv("PGSERVICEFILE"); path != "" {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fault.Wrap(fault.BadParameter, err, "there is no home directory; set PGSERVICEFILE")
	}
	return filepath.Join(home, ".pg_service.conf"), nil
}

func sectionName(p *client.Profile, service string) string { return p.Cluster + "-" + service }

// writeServiceSection writes a database into the service file, as [<cluster>-<database>]; other sections
// stay as they are. Other protocols have no such file.
func writeServiceSection(p *client.Profile, login *client.Credentials) error {
	if !speaksPostgres(login.Identity.Route.Protocol) {
		return nil
	}
	e, err := endpointOf(&account{credentials: login, proxy: p.WebProxyAddr, profile: p}, login)
	if err != nil {
		return err
	}
	lines := []string{
		"host=" + e.host, "hostaddr=" + e.hostAddr, "port=" + e.port, "sslmode=verify-full",
		"sslrootcert=" + e.ca, "sslcert=" + e.cert, "sslkey=" + e.key, "gssencmode=disable",
	}
	if e.user != "" {
		lines = append(lines, "user="+e.user)
	}
	if e.database != "" {
		lines = append(lines, "dbname="+e.database)
	}
	for _, line := range lines {
		if strings.ContainsAny(line, "\r\n") {
			return fault.New(fault.BadParameter, "a database user or name with a line break cannot be kept in the service file")
		}
	}
	return changeServiceFile(sectionName(p, login.Identity.Route.Service), lines)
}

func removeServiceSection(p *client.Profile, service string) error {
	return changeServiceFile(sectionName(p, service), nil)
}

// removeServiceSections removes all databases of a login.
func removeServiceSections(p *client.Profile) error {
	active, err := p.Databases()
	if err != nil {
		return err
	}
	for _, login := range active {
		if err := removeServiceSection(p, login.Identity.Route.Service); err != nil {
			return err
		}
	}
	return nil
}

// changeServiceFile replaces one section, or removes it when there are no lines.
func changeServiceFile(section string, lines []string) error {
	path, err := serviceFile()
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if lines == nil {
			return nil
		}
	} else if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	return durable.WriteFile(path, []byte(replaceSection(string(data), section, lines)), mode)
}

// replaceSection returns the text with the section's lines replaced; everything else stays to the byte.
func replaceSection(text, section string, lines []string) string {
	var out strings.Builder
	inside, written := false, false
	write := func() {
		if lines != nil && !written {
			fmt.Fprintf(&out, "[%s]\n%s\n", section, strings.Join(lines, "\n"))
		}
		written = true
	}
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "[") {
			if inside = trimmed == "["+section+"]"; inside {
				write()
				continue
			}
		}
		if !inside {
			out.WriteString(line)
		} else if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			out.WriteString(line) // a comment or a gap before the next section
		}
	}
	if !written && lines != nil {
		if s := out.String(); s != "" && !strings.HasSuffix(s, "\n") {
			out.WriteByte('\n')
		}
		write()
	}
	return out.String()
}
