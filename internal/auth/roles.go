package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/access"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/store"
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

// mayChangeUser decides whether the caller may write a user as it is sent.
func (a *Authority) mayChangeUser(ctx context.Context, user *resource.User) error {
	c := callerOf(ctx)
	if c.user == nil {
		return nil
	}
	if err := access.CheckUserGrant(c.access(), c.user, user); err != nil {
		return err
	}
	before := &resource.User{}
	err := a.load(ctx, resource.KindUser, user.GetName(), before)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return a.mayAdminister(ctx, slices.Concat(before.Spec.Roles, user.Spec.Roles))
}

// mayAdminister refuses the caller power over a user with the roles when they give more power than it has.
func (a *Authority) mayAdminister(ctx context.Context, roles []string) error {
	c := callerOf(ctx)
	if c.user == nil {
		return nil
	}
	given, err := a.roles(ctx, roles)
	if err != nil {
		return err
	}
	return access.CheckAdministration(c.access(), given)
}
