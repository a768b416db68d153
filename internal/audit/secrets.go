package audit

// SecretsRead says that UserMeta.User is about to read resources with their secrets: private keys of authorities, or
// join tokens.
type SecretsRead struct {
	UserMeta
	ResourceMeta        // the one that was asked for; without a name all of the kind
	Kind         string // of the resources, as in cert_authority
}

// Type implements Event.
func (*SecretsRead) Type() string { return "secrets.read" }

// Code implements Event.
func (*SecretsRead) Code() string { return "SSR00I" }

func (v *SecretsRead) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ResourceMeta.appendTo(e)
	e.text("kind", v.Kind)
}
