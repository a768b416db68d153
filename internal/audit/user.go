package audit

import (
	"time"
	"unicode/utf8"
)

// MFADevice names a second factor.
type MFADevice struct {
	Name string
	UUID string
	Type string // TOTP or WebAuthn
}

func (m *MFADevice) appendTo(e *encoder) {
	e.text("mfa_device_name", m.Name)
	e.text("mfa_device_uuid", m.UUID)
	e.text("mfa_device_type", m.Type)
}

// maxUserAgent is how much of a browser's name a login keeps, in bytes.
const maxUserAgent = 2048

// UserLogin is a login that succeeded or failed. User is the name as it was typed.
type UserLogin struct {
	UserMeta
	ConnectionMeta
	Status
	Method    string // local, oidc, saml, github or headless
	UserAgent string
	Device    MFADevice
}

// Type implements Event.
func (*UserLogin) Type() string { return "user.login" }

// Code implements Event.
func (v *UserLogin) Code() string {
	switch v.Method {
	case "oidc", "saml", "github":
		return v.code("T1001I", "T1001W")
	default:
		return v.code("T1000I", "T1000W")
	}
}

func (v *UserLogin) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ConnectionMeta.appendTo(e)
	e.text("method", v.Method)
	e.text("user_agent", cut(v.UserAgent, maxUserAgent))
	e.object("mfa_device", func() { v.Device.appendTo(e) })
	v.Status.appendTo(e)
}

// cut shortens text to at most size bytes without splitting a character.
func cut(text string, size int) string {
	if len(text) <= size {
		return text
	}
	for size > 0 && !utf8.RuneStart(text[size]) {
		size--
	}
	return text[:size]
}

// UserChange is a change of a user, named by ResourceMeta.
type UserChange struct {
	UserMeta
	ResourceMeta
	Action    Action
	Granted   []string // the roles the user now has
	Connector string   // "local" or the name of the identity provider
}

// Type implements Event.
func (v *UserChange) Type() string {
	return [...]string{Created: "user.create", Updated: "user.update", Deleted: "user.delete"}[v.Action]
}

// Code implements Event.
func (v *UserChange) Code() string {
	return [...]string{Created: "T1002I", Updated: "T1003I", Deleted: "T1004I"}[v.Action]
}

func (v *UserChange) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ResourceMeta.appendTo(e)
	e.texts("roles", v.Granted)
	e.text("connector", v.Connector)
}

// UserPasswordChange says that a user has a new password.
type UserPasswordChange struct {
	UserMeta
	ConnectionMeta
}

// Type implements Event.
func (*UserPasswordChange) Type() string { return "user.password_change" }

// Code implements Event.
func (*UserPasswordChange) Code() string { return "T1005I" }

func (v *UserPasswordChange) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ConnectionMeta.appendTo(e)
}

// MFAChange says that a user has got or lost a second factor. The action is Created or Deleted.
type MFAChange struct {
	UserMeta
	ConnectionMeta
	Action Action
	Device MFADevice
}

// Type implements Event.
func (v *MFAChange) Type() string {
	if v.Action == Deleted {
		return "mfa.delete"
	}
	return "mfa.add"
}

// Code implements Event.
func (v *MFAChange) Code() string {
	if v.Action == Deleted {
		return "T1007I"
	}
	return "T1006I"
}

func (v *MFAChange) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ConnectionMeta.appendTo(e)
	v.Device.appendTo(e)
}

// ResetPasswordTokenCreate says that a link for setting a password was made for the user that
// ResourceMeta names.
type ResetPasswordTokenCreate struct {
	UserMeta
	ResourceMeta
	TTL time.Duration
}

// Type implements Event.
func (*ResetPasswordTokenCreate) Type() string { return "reset_password_token.create" }

// Code implements Event.
func (*ResetPasswordTokenCreate) Code() string { return "T6000I" }

func (v *ResetPasswordTokenCreate) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ResourceMeta.appendTo(e)
	e.text("ttl", v.TTL.String())
}
