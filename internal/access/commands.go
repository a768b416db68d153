package access

import "strings"

// matchCommand reports whether a list has a command: by its name, by the first word of that, or by "*". Letters are
// the same in both cases.
func matchCommand(list []string, command string) bool {
	first, _, _ := strings.Cut(command, " ")
	for _, entry := range list {
		if entry == "*" || strings.EqualFold(entry, command) || strings.EqualFold(entry, first) {
			return true
		}
	}
	return false
}
