package mongodb

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/mongowire"
)

// names are the logical databases that a command names, in whichever place. Its buffers are used again.
type names struct {
	own    string   // $db
	last   string   // the one before it, to be used again
	all    []string // that the rules are asked about; own is among them unless the command needs no grant
	name   []byte   // of the command; valid as long as the message is
	whole  []byte   // what of it concerns the whole server, and so needs a grant on admin; nil for nothing
	masked []byte   // text for the record of a command with a secret in it; nil for the command's own
	err    error    // why it is not passed on
	keys   [][]byte // of the fields of the command
}

func (n *names) reset() { *n = names{last: n.last, all: n.all[:0], keys: n.keys} }

// of finds the names in a command, or says why it cannot be passed on.
func (n *names) of(m *mongowire.Msg) error {
	n.reset()
	name, _ := commandName(m.Body)
	n.name = name
	if isLogin(name) {
		n.mask(m.Body)
		n.setOwn(m.Body)
		return withCode(codeUnauthorized, fault.AccessDenied, "%s is not passed on: this system has logged you in to the database, and who you are there does not change; leave user, password and authMechanism out of the connection string", name)
	}
	if err := n.general(m); err != nil {
		return err
	}
	n.command(m.Body, m, n.own)
	return n.err
}

// commandName returns the key of the first element, which is the command.
func commandName(d mongowire.Document) (name []byte, ok bool) {
	for e := range d.Elements() {
		return e.Key, len(e.Key) > 0
	}
	return nil, false
}

func (n *names) setOwn(d mongowire.Document) bool {
	e, ok := d.Find("$db")
	text, isText := e.Text()
	if !ok || !isText {
		return false
	}
	if n.last == "" || n.last != string(text) {
		if !isDatabase(string(text)) {
			return false
		}
		n.last = string(text)
	}
	n.own = n.last
	return true
}

// general checks what all commands have in common: one logical database, and nothing that could be read in two ways or
// that servers say to servers.
func (n *names) general(m *mongowire.Msg) error {
	if !n.setOwn(m.Body) {
		return withCode(codeBadValue, fault.BadParameter, "the command has no $db that is the name of a database")
	}
	keys := n.keys[:0]
	for _, s := range m.Sequences {
		if !sequences[string(s.Name)] {
			return withCode(codeBadValue, fault.BadParameter, "the sequence of documents %q is not passed on; give them in the command itself", cutOff(s.Name))
		}
		keys = append(keys, s.Name)
	}
	for e := range m.Body.Elements() {
		if len(keys) == maxFields {
			return withCode(codeBadValue, fault.BadParameter, "the command has more than %d fields", maxFields)
		}
		if isForServers(e.Key) {
			return withCode(codeUnauthorized, fault.AccessDenied, forServers, cutOff(e.Key))
		}
		if slices.ContainsFunc(keys, func(key []byte) bool { return bytes.Equal(key, e.Key) }) {
			return withCode(codeBadValue, fault.BadParameter, "the command has the field %q twice, so that it could mean two things", cutOff(e.Key))
		}
		keys = append(keys, e.Key)
	}
	n.keys = keys
	return nil
}

const forServers = "the field %q of a command is not passed on, as only servers say it to servers; leave it out"

// isForServers tells fields of a command by which servers speak for others.
func isForServers(key []byte) bool {
	switch string(key) {
	case "$db", "$readPreference", "$clusterTime":
		return false
	}
	return len(key) > 0 && key[0] == '$'
}

// sequences are those that stand for the data of commands, and in which no names are but those of nsInfo.
var sequences = map[string]bool{"documents": true, "updates": true, "deletes": true, "ops": true, "nsInfo": true}

const maxShown = 1 << 10 // bytes of a value in the record of a login

const maxFields = 64 // of a command; the comparison of each with each is cheap for so few

const maxDatabases = 64 // that one command may name

func cutOff(text []byte) []byte { return text[:min(len(text), 64)] }

// isDatabase reports whether a text can be the name of a database.
func isDatabase(name string) bool {
	return name == external || len(name) > 0 && len(name) < 64 && !strings.ContainsAny(name, "/\\. \"$\x00")
}

// fail notes the first reason why a command is not passed on.
func (n *names) fail(kind fault.Kind, format string, args ...any) {
	if n.err == nil {
		code := int32(codeUnauthorized)
		if kind == fault.BadParameter {
			code = codeBadValue
		}
		n.err = withCode(code, kind, format, args...)
	}
}

// add notes a logical database that the command names.
func (n *names) add(name string) {
	switch {
	case slices.Contains(n.all, name):
	case !isDatabase(name):
		n.fail(fault.BadParameter, "%q is not the name of a database", name[:min(len(name), 64)])
	case len(n.all) == maxDatabases:
		n.fail(fault.BadParameter, "the command names more than %d databases; send it in parts", maxDatabases)
	default:
		n.all = append(n.all, name)
	}
}

// wholeServer notes that the command, or the part of it that is given, concerns the whole server.
func (n *names) wholeServer(what []byte) {
	n.add(admin)
	n.whole = what
}

// denied puts the rules' refusal of a database into words: who names none with a command about the whole server would look for a wrong
// name in vain.
func (n *names) denied(database string, err error) error {
	if database != admin || n.whole == nil || fault.KindOf(err) != fault.AccessDenied {
		return err
	}
	return fault.Wrap(fault.AccessDenied, err, "%s concerns the whole server and needs the database name %q, which your roles do not allow; ask an administrator for db_names: [%[2]s]", cutOff(n.whole), admin)
}

// each calls f with every element of the key: in what is within a command, one may be there twice.
func each(d mongowire.Document, key string, f func(mongowire.Element)) (found bool) {
	for e := range d.Elements() {
		if string(e.Key) == key {
			found = true
			f(e)
		}
	}
	return found
}

// addText notes a value that must be the name of a database.
func (n *names) addText(e mongowire.Element) {
	text, ok := e.Text()
	if !ok {
		n.fail(fault.BadParameter, "the value of %q is not the name of a database", cutOff(e.Key))
		return
	}
	n.add(string(text))
}

// addNamespace notes the database of a value database.collection.
func (n *names) addNamespace(e mongowire.Element) {
	text, ok := e.Text()
	database, _, found := strings.Cut(string(text), ".")
	if !ok || !found {
		n.fail(fault.BadParameter, "the value of %q is not of the form database.collection", cutOff(e.Key))
		return
	}
	n.add(database)
}

// mask makes the text for the record of a login, without whatever proves who somebody is, or of what is too long.
func (n *names) mask(d mongowire.Document) {
	var masked mongowire.Builder
	fields := 0
	for e := range d.Elements() {
		if fields++; fields > maxFields {
			break
		}
		switch string(e.Key) {
		case "authenticate", "saslStart", "saslContinue", "logout", "getnonce", "copydbsaslstart", "mechanism", "conversationId", "user", "$db":
			if len(e.Data) <= maxShown {
				masked.Element(e)
				continue
			}
		}
		masked.Text(string(cutOff(e.Key)), "***")
	}
	n.masked = mongowire.AppendJSON(nil, masked.Build())
}

// withSecrets are names of commands and fields with passwords or proofs behind them.
var withSecrets = regexp.MustCompile(`(?i)sasl|authenticate|createUser|updateUser|pwd`)
