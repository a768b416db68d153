package audit

// ClientDisconnect says that we ended a client's connection, and why.
type ClientDisconnect struct {
	UserMeta
	SessionMeta // empty outside sessions
	ServerMeta
	ConnectionMeta
	Reason string
}

// Type implements Event.
func (*ClientDisconnect) Type() string { return "client.disconnect" }

// Code implements Event.
func (*ClientDisconnect) Code() string { return "T3006I" }

func (v *ClientDisconnect) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.SessionMeta.appendTo(e)
	v.ServerMeta.appendTo(e)
	v.ConnectionMeta.appendTo(e)
	e.text("reason", v.Reason)
}

// AuthFailure is a connection that was refused before a session: for its certificate, or for what it asks for with that.
type AuthFailure struct {
	UserMeta // as far as the certificate says
	ServerMeta
	ConnectionMeta
	Error string
}

// Type implements Event.
func (*AuthFailure) Type() string { return "auth" }

// Code implements Event.
func (*AuthFailure) Code() string { return "T3007W" }

func (v *AuthFailure) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ServerMeta.appendTo(e)
	v.ConnectionMeta.appendTo(e)
	status := Status{Error: v.Error}
	status.appendTo(e)
}
