package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"sallyport/internal/authapi"
	"sallyport/internal/resource"
)

// rolesOf returns the roles of a user, and none of anything else.
func rolesOf(r resource.Resource) []string {
	if user, ok := r.(*resource.User); ok {
		return user.Spec.Roles
	}
	return nil
}

// storedRoles returns the roles that the user has now whom a resource is to replace, if the caller may see them.
func storedRoles(ctx context.Context, api *authapi.Client, r resource.Resource) []string {
	if r.GetKind() != resource.KindUser {
		return nil
	}
	old, err := getUser(ctx, api, r.GetName())
	if err != nil {
		return nil
	}
	return rolesOf(old)
}

// noteLost says what a user from whom roles were taken still has, and what ends that.
func noteLost(told io.Writer, user string, before, now []string) error {
	lost := slices.DeleteFunc(slices.Clone(before), func(role string) bool { return slices.Contains(now, role) })
	if len(lost) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(told, "NOTE: %s no longer has %s. Sessions that are open go on, and logins to databases that are stored still have the old roles: "+
		"with client certificates for some five minutes, with databases of AWS until they expire. End both with tctl lock --user=%s\n",
		user, strings.Join(lost, ","), user)
	return err
}
