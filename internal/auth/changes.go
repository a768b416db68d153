package auth

import (
	"context"

	"sallyport/internal/audit"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
)

// userMeta says who a call's events name.
func userMeta(c *caller) audit.UserMeta {
	switch {
	case c == nil || c.id == nil:
		return audit.UserMeta{}
	case c.id.Kind == identity.Host:
		return audit.UserMeta{User: c.id.Name + "." + c.id.Cluster, Kind: audit.UserSystem}
	default:
		return audit.UserMeta{User: c.id.Name, Kind: audit.UserHuman, Impersonator: c.id.Impersonator}
	}
}

// recordSecrets records that somebody is about to read the secrets of resources, if the kind has any. An empty name
// stands for all of them.
func (a *Authority) recordSecrets(ctx context.Context, kind, name string) error {
	if kind != resource.KindCertAuthority && kind != resource.KindToken {
		return nil
	}
	return a.record(ctx, &audit.SecretsRead{UserMeta: userMeta(callerOf(ctx)), ResourceMeta: audit.ResourceMeta{Name: name}, Kind: kind})
}

func resourceMeta(r resource.Resource) audit.ResourceMeta {
	meta := audit.ResourceMeta{Name: shownName(r)}
	if expires := r.Meta().Expires; expires != nil {
		meta.Expires = *expires
	}
	return meta
}

// recordChange records that r is about to replace old, which is nil for a new resource. Heartbeats are
// not recorded.
func (a *Authority) recordChange(ctx context.Context, r, old resource.Resource) error {
	action := audit.Updated
	if old == nil {
		action = audit.Created
	}
	return a.recordAction(ctx, r, action)
}

func (a *Authority) recordDelete(ctx context.Context, r resource.Resource) error {
	return a.recordAction(ctx, r, audit.Deleted)
}

func (a *Authority) recordAction(ctx context.Context, r resource.Resource, action audit.Action) error {
	event := changeEvent(userMeta(callerOf(ctx)), r, action)
	if event == nil {
		return nil
	}
	return a.record(ctx, event)
}

// changeEvent returns the event of a change, or nil for kinds whose changes are not recorded.
func changeEvent(who audit.UserMeta, r resource.Resource, action audit.Action) audit.Event {
	meta := resourceMeta(r)
	meta.UpdatedBy = who.User
	switch r := r.(type) {
	case *resource.Role:
		return &audit.RoleChange{UserMeta: who, ResourceMeta: meta, Action: action}
	case *resource.User:
		return &audit.UserChange{UserMeta: who, ResourceMeta: meta, Action: action, Granted: r.Spec.Roles, Connector: "local"}
	case *resource.Database:
		return &audit.DatabaseChange{UserMeta: who, ResourceMeta: meta, Action: action, Labels: r.Metadata.Labels,
			AWSRegion: r.Spec.AWS.Region, DatabaseMeta: audit.DatabaseMeta{
				Protocol: r.Spec.Protocol, URI: r.Spec.URI, Type: r.Type(), Origin: r.Origin()}}
	case *resource.Lock:
		t := r.Spec.Target
		if expires := r.Spec.Expires; expires != nil {
			meta.Expires = *expires
		}
		return &audit.LockChange{UserMeta: who, ResourceMeta: meta, Action: action, Message: r.Spec.Message,
			Target: audit.LockTarget{User: t.User, Role: t.Role, MFADevice: t.MFADevice, AccessRequest: t.AccessRequest, ServerID: t.ServerID, JoinToken: t.JoinToken}}
	case *resource.Token:
		return &audit.JoinTokenChange{UserMeta: who, ResourceMeta: meta, Action: action, SystemRoles: roleNames(r.Spec.Roles), JoinMethod: r.Spec.JoinMethod}
	case *resource.HealthCheckConfig:
		return &audit.HealthCheckConfigChange{UserMeta: who, ResourceMeta: meta, Action: action}
	case *resource.AuthPreference:
		return settingsEvent(who, audit.AuthPreference)
	case *resource.NetworkingConfig:
		return settingsEvent(who, audit.ClusterNetworking)
	case *resource.RecordingConfig:
		return settingsEvent(who, audit.SessionRecording)
	default:
		return nil
	}
}

func settingsEvent(who audit.UserMeta, settings audit.Settings) audit.Event {
	return &audit.SettingsUpdate{UserMeta: who, Settings: settings, Status: audit.Status{Success: true}}
}

func roleNames(roles []resource.SystemRole) []string {
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = string(role)
	}
	return names
}
