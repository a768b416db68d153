package redis

import (
	"bytes"
	"regexp"
	"strings"
)

// secrets are the places of a command's arguments that are not recorded: at most a few, or all from one on.
type secrets struct {
	places []int
	from   int // 0 for none
}

func (s *secrets) any() bool { return s.from > 0 || len(s.places) > 0 }

func (s *secrets) has(place int) bool {
	if s.from > 0 && place >= s.from {
		return true
	}
	for _, secret := range s.places {
		if secret == place {
			return true
		}
	}
	return false
}

// shown returns what is recorded before the mask: of a rule of ACL SETUSER what it does.
func (s *secrets) shown(arg []byte) []byte {
	if s.from == 0 && len(arg) > 0 && isPasswordRule(arg) {
		return arg[:1]
	}
	return nil
}

func (s *secrets) add(place int) { s.places = append(s.places, place) }

// secretsOf finds the passwords among the arguments of a command. What does not have the form that the server wants
// is not recorded from where a password may be.
func secretsOf(args [][]byte) (s secrets) {
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
	case len(name) == 6 && is(name, "config") && is(args[1], "set"):
		s.ofConfig(args)
	case len(name) == 3 && is(name, "acl") && is(args[1], "setuser"):
		s.ofRules(args)
	case len(name) == 3 && is(name, "acl") && is(args[1], "dryrun") && len(args) > 3:
		s.ofDryRun(args)
	case len(name) == 7 && is(name, "migrate"):
		s.ofMigrate(args)
	case len(name) == 8 && is(name, "sentinel") && (is(args[1], "set") || is(args[1], "config")):
		s.ofSentinel(args)
	}
	return s
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

func (s *secrets) ofConfig(args [][]byte) {
	for i := 2; i+1 < len(args); i += 2 {
		for _, setting := range passwordSettings {
			if is(args[i], setting) {
				s.add(i + 1)
			}
		}
	}
}

// isPasswordRule reports whether a rule adds or removes a password, or its hash.
func isPasswordRule(rule []byte) bool { return bytes.IndexByte([]byte("><#!"), rule[0]) >= 0 }

func (s *secrets) ofRules(args [][]byte) {
	for i := 3; i < len(args); i++ {
		if len(args[i]) > 0 && isPasswordRule(args[i]) {
			s.add(i)
		}
	}
}

// ofDryRun finds the secrets of the command that is tried: ACL DRYRUN user command.
func (s *secrets) ofDryRun(args [][]byte) {
	const command = 3
	tried := secretsOf(args[command:])
	for _, place := range tried.places {
		s.add(command + place)
	}
	if tried.from > 0 {
		s.from = command + tried.from
	}
}

func (s *secrets) ofMigrate(args [][]byte) {
	for i := 6; i < len(args); i++ {
		switch {
		case is(args[i], "auth"):
			s.add(i + 1)
		case is(args[i], "auth2"):
			s.add(i + 2)
		case is(args[i], "keys"):
			return
		}
	}
}

func (s *secrets) ofSentinel(args [][]byte) {
	for i := 3; i+1 < len(args); i += 2 {
		if is(args[i], "auth-pass") || is(args[i], "sentinel-pass") {
			s.add(i + 1)
		}
	}
}
