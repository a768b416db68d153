package bootstrap

import (
	"fmt"
	"strings"
)

// Title says in one line what the action does.
func (a Action) Title() string {
	if a.Kind == AttachPolicy {
		return fmt.Sprintf("Attach IAM policy %q to %s", a.Policy, a.Target)
	}
	return fmt.Sprintf("Create IAM policy %q", a.Policy)
}

// String returns the plan as people read it: numbered actions, each policy under the action that
// creates it.
func (p Plan) String() string {
	var b strings.Builder
	for i, action := range p.Actions {
		fmt.Fprintf(&b, "%d. %s", i+1, action.Title())
		if action.Kind == PutPolicy {
			fmt.Fprintf(&b, ":\n%s\n", action.Document)
		} else {
			b.WriteString(".\n")
		}
		b.WriteString("\n")
	}
	for _, note := range p.Notes {
		fmt.Fprintf(&b, "Note: %s\n", note)
	}
	return b.String()
}
