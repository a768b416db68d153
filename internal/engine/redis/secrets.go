package redis

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// secrets are the places of a command's arguments that are not recorded: at most maxPlaces, and all from one on. Looking for
// them takes a time that grows with the arguments and no faster, whatever a client sends.
type secrets struct {
	places []int
	from   int  // 0 for none
	whole  bool // the name is a secret too
}

const (
	maxPlaces = 32 // more are no command that somebody means: all that follows is a secret then
	maxNamed  = 2  // commands that are named in each other's arguments
)

func (s *secrets) any() bool { return s.from > 0 || len(s.places) > 0 }

func (s *secrets) has(place int) bool {
	if s.full(place) || s.whole {
		return true
	}
	for _, secret := range s.places {
		if secret == place {
			return true
		}
	}
	return false
}

// shown returns the beginning of a masked argument that is recorded in clear, before the mask: the operator of a rule of ACL SETUSER
// (as the > of >password), or the command's name where all that follows is masked.
func (s *secrets) shown(place int, arg []byte) []byte {
	switch {
	case place == 0:
		return plainName(arg[:min(len(arg), maxName)])
	case s.from == 0 && len(arg) > 0 && isPasswordRule(arg):
		return arg[:1]
	}
	return nil
}

// plainName returns the letters, digits and signs with which an argument begins that names of commands are made of.
func plainName(arg []byte) []byte {
	for i, c := range arg {
		if !inNames[c] {
			return arg[:i]
		}
	}
	return arg
}

var inNames = func() (table [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_" {
		table[c] = true
	}
	return table
}()

func (s *secrets) add(place int) {
	if len(s.places) == maxPlaces {
		s.allFrom(place)
		return
	}
	s.places = append(s.places, place)
}

func (s *secrets) allFrom(place int) {
	if s.from == 0 || place < s.from {
		s.from = place
	}
}

// full reports whether it is known of a place, and of all behind it, that they are secrets.
func (s *secrets) full(place int) bool { return s.from > 0 && place >= s.from }

// secretsOf finds the passwords among the arguments of a command. What does not have the form that the server wants
// is not recorded from where a password may be.
func secretsOf(args [][]byte) secrets { return secretsWithin(args, 0) }

// secretsWithin does so for a command that is named in the arguments of so many others.
func secretsWithin(args [][]byte, others int) (s secrets) {
	if isWhole(args[0]) {
		return secrets{from: 1, whole: true}
	}
	if len(args) < 2 {
		return s
	}
	switch name := args[0]; {
	case len(name) == 4 && is(name, "auth"):
		if s.from = 1; len(args) == 3 {
			s.from = 2
		}
	case len(name) == 5 && is(name, "hello"):
		s.ofHello(args)
	case len(name) == 6 && is(name, "config"):
		s.behind(args, passwordSettings...)
	case len(name) == 3 && is(name, "acl") && is(args[1], "dryrun"):
		s.ofCommandAt(args, 2, others) // the user may be forgotten
		s.ofCommandAt(args, 3, others)
	case len(name) == 3 && is(name, "acl"): // a wrong subcommand too
		s.ofRules(args)
	case len(name) == 5 && is(name, "debug"), len(name) == 6 && is(name, "client"):
		s.ofCommandAt(args, 1, others)
	case len(name) == 6 && is(name, "module"):
		s.ofModule(args)
	case len(name) == 7 && is(name, "command"):
		s.ofCommandAt(args, 2, others)
	case len(name) == 7 && is(name, "setuser"): // without ACL before it
		s.ofRules(args)
	case len(name) == 7 && is(name, "migrate"):
		s.ofMigrate(args)
	case len(name) == 8 && is(name, "sentinel"):
		s.behind(args, "auth-pass", "sentinel-pass")
	}
	return s
}

// isWhole reports whether what stands in place of a command's name is more than a name, with a secret in it perhaps.
func isWhole(name []byte) bool {
	return len(plainName(name)) < len(name) && (len(name) > longArgument || withSecrets.Match(name))
}

// withSecrets are the commands that secretsOf looks into.
var withSecrets = regexp.MustCompile(`(?i)auth|hello|config|acl|migrate|sentinel`)

func is(arg []byte, name string) bool {
	return len(arg) == len(name) && strings.EqualFold(string(arg), name)
}

func (s *secrets) ofHello(args [][]byte) {
	options, ok := parseHello(args)
	switch {
	case !ok && len(args) > 2:
		s.from = 2
	case options.given:
		s.add(options.passwordAt)
	}
}

// passwordSettings hold secrets, in Redis or Valkey.
var passwordSettings = []string{"requirepass", "masterauth", "primaryauth", "tls-key-file-pass", "tls-client-key-file-pass"}

// behind finds what stands behind settings that hold secrets, wherever those are: a word may be forgotten before them, or
// the space behind them.
func (s *secrets) behind(args [][]byte, settings ...string) {
	for i := 1; i < len(args) && !s.full(i); i++ {
		if n := names(args[i], settings); n > 0 {
			if n < len(args[i]) {
				s.add(i)
			}
			s.add(i + 1)
		}
	}
}

// names returns the length of the first of the settings, in lower case, that stands in an argument, in whatever case; 0 if there is none.
// It makes no copy of the argument, which may be large.
func names(arg []byte, settings []string) int {
	for i, c := range arg {
		for _, setting := range settings {
			if c|0x20 == setting[0] && len(arg)-i >= len(setting) && is(arg[i:i+len(setting)], setting) {
				return len(setting)
			}
		}
	}
	return 0
}

// ofModule hides the settings and arguments of a module, which nobody knows (redis.io, "MODULE LOAD" and "MODULE LOADEX").
func (s *secrets) ofModule(args [][]byte) {
	if is(args[1], "load") && len(args) > 3 {
		s.from = 3
		return
	}
	at := slices.IndexFunc(args, func(arg []byte) bool { return is(arg, "config") || is(arg, "args") })
	if at > 0 && at+1 < len(args) {
		s.from = at + 1
	}
}

// isPasswordRule reports whether a rule adds or removes a password, or its hash.
func isPasswordRule(rule []byte) bool { return strings.IndexByte(passwordRules, rule[0]) >= 0 }

const passwordRules = "><#!" // what such a rule begins with

// ofRules finds passwords among rules, within the brackets of a selector too, where they are none that the server takes. The
// user's name may be forgotten.
func (s *secrets) ofRules(args [][]byte) {
	for i := 1; i < len(args) && !s.full(i); i++ {
		if len(args[i]) > 0 && (isPasswordRule(args[i]) || args[i][0] == '(' && bytes.ContainsAny(args[i], passwordRules)) {
			s.add(i)
		}
		if len(args[i]) == 1 && isPasswordRule(args[i]) { // and a space before the password
			s.add(i + 1)
		}
	}
}

// ofCommandAt finds the secrets of a command that is named in the arguments of another.
func (s *secrets) ofCommandAt(args [][]byte, start, others int) {
	if len(args) <= start {
		return
	}
	if others == maxNamed {
		s.allFrom(start)
		return
	}
	named := secretsWithin(args[start:], others+1)
	if named.whole {
		s.add(start)
	}
	for _, place := range named.places {
		s.add(start + place)
	}
	if named.from > 0 {
		s.allFrom(start + named.from)
	}
}

// ofMigrate finds the passwords of MIGRATE, behind logical database and timeout if those are there, and until the keys that
// follow an empty one (redis.io, "MIGRATE").
func (s *secrets) ofMigrate(args [][]byte) {
	start := 6
	if len(args) < start || !isNumber(args[4]) || !isNumber(args[5]) {
		start = 1
	}
	for i := start; i < len(args) && !s.full(i); i++ {
		switch {
		case is(args[i], "auth"):
			s.add(i + 1)
		case is(args[i], "auth2"):
			s.add(i + 2)
		case is(args[i], "keys") && start > 1 && len(args[3]) == 0:
			return
		}
	}
}

func isNumber(arg []byte) bool {
	_, err := strconv.ParseUint(string(arg), 10, 64)
	return err == nil
}
