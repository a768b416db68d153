package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/internal/client"
	"sallyport/internal/durable"
	"sallyport/internal/fault"
)

// serviceFile returns the path of libpq's connection service file.
func serviceFile() (string, error) {
	if path := os.Getenv("PGSERVICEFILE"); path != "" {
		return path, nil
	}
	home := homeFolder(user.Current)
	if home == "" {
		return "", fault.New(fault.BadParameter, "there is no home directory; set PGSERVICEFILE")
	}
	return filepath.Join(home, ".pg_service.conf"), nil
}

func sectionName(p *client.Profile, service string) string { return p.Cluster + "-" + service }

// notePostgres writes a database into libpq's service file.
func notePostgres(_ *cobra.Command, who *account, login *client.Credentials) (usable bool, err error) {
	e, err := endpointOf(who, login)
	if err != nil {
		return false, err
	}
	return true, writeServiceSection(who.profile, login.Identity.Route.Service, e)
}

// writeServiceSection writes a database into the service file, as [<cluster>-<database>]; other sections stay as they are.
func writeServiceSection(p *client.Profile, service string, e endpoint) error {
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
	path, err := serviceFile()
	if err != nil {
		return err
	}
	return changeSection(path, sectionName(p, service), lines)
}

// removeSections removes a database from the files of all kinds of clients, also where they would not be found by clients that are
// started now.
func removeSections(p *client.Profile, service string) error {
	var failed error
	if path, err := serviceFile(); err == nil {
		failed = changeSection(path, sectionName(p, service), nil)
	}
	if home := homeFolder(user.Current); home != "" {
		failed = errors.Join(failed, changeSection(filepath.Join(home, optionFileName), optionSection(p, service), nil))
	}
	return failed
}

// homeFolder returns the home directory: that of the environment, or else the one that the system knows for the user, where libpq
// looks too. It is "" if there is neither.
func homeFolder(current func() (*user.User, error)) string {
	if home, err := os.UserHomeDir(); err == nil {
		return home
	}
	if user, err := current(); err == nil {
		return user.HomeDir
	}
	return ""
}

// removeAllSections removes all databases of a login.
func removeAllSections(p *client.Profile) error {
	active, err := p.Databases()
	if err != nil {
		return err
	}
	for _, login := range active {
		if err := removeSections(p, login.Identity.Route.Service); err != nil {
			return err
		}
	}
	return nil
}

// changeSection replaces one section of a file, or removes it when there are no lines. Commands that do so at the same time wait for
// each other.
func changeSection(path, section string, lines []string) error {
	name := path
	if behind, err := filepath.EvalSymlinks(path); err == nil {
		path = behind // of people who keep such files elsewhere
	}
	return durable.WithDir(filepath.Dir(path), func() error { return changeSectionAlone(path, section, lines, name == path) })
}

// changeSectionAlone does so while nobody else does. A file that has nothing any more is removed, if it may be.
func changeSectionAlone(path, section string, lines []string, removable bool) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if lines == nil {
			return nil
		}
	} else if err != nil {
		return fault.Wrap(fault.BadParameter, err, "%s cannot be read; make it a file that you may read", path)
	}
	text := replaceSection(string(data), section, lines)
	if text == string(data) {
		return nil // the file is somebody else's matter
	}
	if text == "" && removable {
		return os.Remove(path)
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if err := durable.WriteFile(path, []byte(text), mode); err != nil {
		return fault.Wrap(fault.BadParameter, err, "%s cannot be written; make it a file that you may write, in a folder that you may write", path)
	}
	return nil
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

// url returns the connection URL of libpq.
func (e endpoint) url() string {
	query := url.Values{
		"hostaddr": {e.hostAddr}, "sslmode": {"verify-full"}, "sslrootcert": {e.ca}, "sslcert": {e.cert}, "sslkey": {e.key}, "gssencmode": {"disable"},
	}
	u := url.URL{Scheme: "postgres", Host: net.JoinHostPort(e.host, e.port), Path: "/" + e.database, RawQuery: query.Encode()}
	if e.user != "" {
		u.User = url.User(e.user)
	}
	return u.String()
}

// postgresVariables are those of libpq.
func postgresVariables(_ *account, e endpoint, _ string, _ io.Writer) map[string]string {
	vars := map[string]string{
		"PGHOST": e.host, "PGHOSTADDR": e.hostAddr, "PGPORT": e.port, "PGSSLMODE": "verify-full",
		"PGSSLROOTCERT": e.ca, "PGSSLCERT": e.cert, "PGSSLKEY": e.key, "PGGSSENCMODE": "disable",
	}
	if e.user != "" {
		vars["PGUSER"] = e.user
	}
	if e.database != "" {
		vars["PGDATABASE"] = e.database
	}
	return vars
}
