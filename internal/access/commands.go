package access

import (
	"fmt"
	"strings"

	"sallyport/internal/resource"
)

// Commands is a list of commands as roles have it.
type Commands []string

// Has reports whether the list has a command: by its name, words parted by a space, by the first word of that, or by "*".
func (c Commands) Has(command string) bool { return matchCommand(c, command) }

// DeniedCommands returns the commands that roles deny, whatever other roles allow: also those that need no leave.
func DeniedCommands(c Caller) Commands {
	var denied Commands
	for _, role := range Compile(c).roles {
		if role.denyError != nil {
			return Commands{"*"}
		}
		denied = append(denied, role.deny.commands...)
	}
	return denied
}

// checkDenied refuses names that no command has, of a trait or of a role from before these were refused: it is not known what their
// writer wants to be denied.
func checkDenied(commands []string) error {
	for _, name := range commands {
		if err := resource.CheckCommandName(name); err != nil {
			return fmt.Errorf("db_commands: %w", err)
		}
	}
	return nil
}

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
