package auth

import (
	"context"
	"errors"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// checkFile checks the resources of a file with which auth starts, before anything is written. What they say of revisions is
// about the cluster that they were read from.
func checkFile(all []resource.Resource) error {
	for _, r := range all {
		r.Meta().Revision = ""
		if err := errors.Join(r.Validate(), refuseMask(r)); err != nil {
			return err
		}
	}
	return nil
}

// checkBootstrap is checkFile for what a cluster begins with: nothing else can have the roles that its users need.
func checkBootstrap(all []resource.Resource) error {
	if err := checkFile(all); err != nil {
		return err
	}
	roles := map[string]bool{}
	for _, role := range resource.PresetRoles() {
		roles[role.GetName()] = true
	}
	for _, r := range all {
		if r.GetKind() == resource.KindRole {
			roles[r.GetName()] = true
		}
	}
	for _, r := range all {
		user, ok := r.(*resource.User)
		if !ok {
			continue
		}
		for _, name := range user.Spec.Roles {
			if !roles[name] {
				return fault.New(fault.NotFound, "user %q has the role %q, which is neither in the file nor one of those that every cluster has", user.GetName(), name)
			}
		}
	}
	return nil
}

// refuseMask refuses what lists show of a token instead of its name, which would make the mask a secret that all know.
func refuseMask(r resource.Resource) error {
	if r.GetKind() == resource.KindToken && strings.HasPrefix(r.GetName(), "****") {
		return fault.New(fault.BadParameter, "the token's value is masked; read it with --with-secrets on the auth server's host")
	}
	return nil
}

// warnOfRoles tells of stored roles that could not be written today. They are kept as they are: what they allow and deny holds.
func (a *Authority) warnOfRoles(ctx context.Context) error {
	roles, err := a.list(ctx, resource.KindRole)
	if err != nil {
		return err
	}
	for _, role := range roles {
		for _, problem := range resource.Inspect(resource.Clone(role)) {
			a.Logger.Warn("a role says what this program does not keep; write it anew", "role", role.GetName(), "key", problem.Path, "reason", problem.Message)
		}
	}
	return nil
}
