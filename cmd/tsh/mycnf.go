package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/internal/client"
	"sallyport/internal/fault"
)

// maxOptionLine is in bytes. What is beyond 4096 or a little less, with the end of the line, clients leave out without a word.
const maxOptionLine = 4000

const optionFileName = ".my.cnf"

// optionFile returns the path of the option file of MySQL's clients, which look nowhere without HOME.
func optionFile() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fault.Wrap(fault.BadParameter, err, "there is no home directory, in which clients of MySQL look for .my.cnf; set HOME")
	}
	return filepath.Join(home, optionFileName), nil
}

// groupSuffix is what clients are given to read the section of a database besides their own.
func groupSuffix(p *client.Profile, service string) string { return "_" + sectionName(p, service) }

func optionSection(p *client.Profile, service string) string {
	return "client" + groupSuffix(p, service)
}

// noteMySQL writes a login into the option file of MySQL's clients and reports whether they can use it. Without a port for
// them, there is nothing to write and what was written is removed. A login that cannot be noted is good for other clients.
func noteMySQL(cmd *cobra.Command, who *account, login *client.Credentials) (usable bool, err error) {
	service := login.Identity.Route.Service
	e, usable, err := who.endpointAtPort(cmd.Context(), mysqlPort, login)
	switch {
	case err == nil && usable:
		err = writeOptionSection(who.profile, service, e)
	case err == nil:
		err = changeOptionFile(who.profile, service, nil)
	}
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "WARNING: ~/.my.cnf was not written: %s\n", fault.Message(err))
	}
	return usable && err == nil, nil
}

// writeOptionSection writes a database into the option file, as [client_<cluster>-<database>]; other sections stay as they
// are. A client that does not know one of the options refuses to run: it must neither leave out the name of the database
// nor connect without verifying it.
func writeOptionSection(p *client.Profile, service string, e endpoint) error {
	options := [][2]string{
		{"host", e.host}, {"port", e.port}, {"user", e.user}, {"database", e.database}, {"tls-sni-servername", e.host},
		{"ssl-mode", "VERIFY_IDENTITY"}, {"ssl-ca", e.ca}, {"ssl-cert", e.cert}, {"ssl-key", e.key},
	}
	var lines []string
	for _, option := range options {
		if strings.ContainsAny(option[1], "\r\n") {
			return fault.New(fault.BadParameter, "a database user or name with a line break cannot be kept in ~/.my.cnf")
		}
		if option[1] == "" {
			continue
		}
		line := option[0] + "=" + optionValue(option[1])
		if len(line) > maxOptionLine {
			return fault.New(fault.BadParameter, "the %s is too long for ~/.my.cnf, whose lines have at most %d bytes", option[0], maxOptionLine)
		}
		lines = append(lines, line)
	}
	return changeOptionFile(p, service, lines)
}

// optionValue returns a value as option files have it (MySQL manual, "Using Option Files"): a backslash begins an escape
// sequence, and within quotes spaces at the ends and number signs stand for themselves. Quotes are chosen so that few signs need
// a backslash, as drivers know none.
func optionValue(value string) string {
	quote := `"`
	if strings.Contains(value, `"`) && !strings.Contains(value, `'`) {
		quote = `'`
	}
	escaped := strings.NewReplacer(`\`, `\\`, quote, `\`+quote).Replace(value)
	if escaped != value || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`#;'"`, r) }) {
		return quote + escaped + quote
	}
	return value
}

func changeOptionFile(p *client.Profile, service string, lines []string) error {
	path, err := optionFile()
	if err != nil {
		return err
	}
	return changeSection(path, optionSection(p, service), lines)
}
