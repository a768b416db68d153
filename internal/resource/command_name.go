package resource

import (
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/yamlnode"
)

// MaxCommandWord is how many bytes a word of a command's name may have in a role.
const MaxCommandWord = 64

// CheckCommandName refuses what db_commands may not have, because no command is ever called so: a denial of it would deny
// nothing. Names are "*", one word, or two with a space between them, of ASCII. Redis itself writes config|set in its ACL, and
// +, - and @ before rules of it.
func CheckCommandName(name string) error {
	first, second, two := strings.Cut(name, " ")
	if isCommandWord(first) && (!two || isCommandWord(second)) && !strings.ContainsAny(name[:1], "+-@") {
		return nil
	}
	return fault.New(fault.BadParameter,
		`%q is no name of a command; write its words with single spaces between them, such as "flushall" or "config set", a first word for all commands that begin with it, or "*" for any`, name)
}

func isCommandWord(word string) bool {
	for i := range len(word) {
		if c := word[i]; c <= ' ' || c > '~' || c == '|' {
			return false
		}
	}
	return word != "" && len(word) <= MaxCommandWord
}

func checkCommandNames(p *problems, path string, names Strings) {
	checkExactNames(p, path, names)
	for i, name := range names {
		if name == "" || strings.Contains(name, "{{") || strings.Contains(name, "}}") { // which was checked; values are when they are known
			continue
		}
		if err := CheckCommandName(name); err != nil {
			p.add(yamlnode.IndexPath(path, i), "%s", fault.Message(err))
		}
	}
}
