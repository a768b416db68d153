package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// maxNamed is how many users an error names.
const maxNamed = 5

// refuseHeldRole refuses that a role goes away which users hold: with it would go what it denies them.
func (a *Authority) refuseHeldRole(ctx context.Context, role string) error {
	users, err := listOf[*resource.User](ctx, a, resource.KindUser)
	if err != nil {
		return err
	}
	var holders []string
	for _, user := range users {
		if slices.Contains(user.Spec.Roles, role) {
			holders = append(holders, fmt.Sprintf("%q", user.GetName()))
		}
	}
	if len(holders) == 0 {
		return nil
	}
	named := strings.Join(holders[:min(len(holders), maxNamed)], ", ")
	if more := len(holders) - maxNamed; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return fault.New(fault.BadParameter, "role %q is held by %s; take it from them first with tctl users update NAME --set-roles=...", role, named)
}
