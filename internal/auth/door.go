package auth

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"connectrpc.com/connect"

	"sallyport/internal/access"
	"sallyport/internal/authapi"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

// door stands before every method of the API: it finds out who calls, refuses locked callers, decides by
// the table, and turns faults into API errors.
type door struct{ auth *Authority }

// caller is who makes a call, as known when the call began.
type caller struct {
	id    *identity.Identity
	user  *resource.User   // of a user's identity: as stored now
	roles []*resource.Role // of a user's identity: as stored now
}

type callerKey struct{}

// callerOf returns the caller of a method behind the door. Its id is nil for strangers.
func callerOf(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	return c
}

var errDenied = fault.New(fault.AccessDenied, "your roles do not allow this; ask an administrator of the cluster")

// admit decides whether the call may go on and returns the context that names the caller. For methods
// that decide by their request, request must be set.
func (d door) admit(ctx context.Context, procedure string, request any) (context.Context, error) {
	rule, ok := table[procedure]
	if !ok {
		return nil, fault.New(fault.AccessDenied, "this call is not open to anyone")
	}
	c, err := d.auth.identify(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.auth.decide(ctx, c, rule, request); err != nil {
		return nil, err
	}
	return context.WithValue(ctx, callerKey{}, c), nil
}

// identify finds out who calls and whether the caller is still welcome.
func (a *Authority) identify(ctx context.Context) (*caller, error) {
	c := &caller{id: identity.FromContext(ctx)}
	if c.id == nil {
		return c, nil
	}
	if a.Now().After(c.id.Expires) {
		return nil, fault.New(fault.Unauthenticated, "your certificate expired at %s; log in again with tsh login", c.id.Expires.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	if c.id.Kind == identity.User {
		if err := a.loadUser(ctx, c); err != nil {
			return nil, err
		}
		if err := access.CheckAddress(c.id.PinnedIP, access.Options(c.roles, access.Defaults{}), peerOf(ctx)); err != nil {
			return nil, err
		}
	}
	if err := a.refuseLocked(ctx, c); err != nil {
		return nil, err
	}
	if c.id.Kind == identity.Host {
		a.hosts.seen(c.id.Name, a.Now())
	}
	return c, nil
}

// loadUser reads the user and its roles as they are now: a certificate does not keep what was taken away.
func (a *Authority) loadUser(ctx context.Context, c *caller) error {
	user := &resource.User{}
	err := a.load(ctx, resource.KindUser, c.id.Name, user)
	if errors.Is(err, store.ErrNotFound) {
		return fault.New(fault.Unauthenticated, "your user no longer exists; ask an administrator of the cluster")
	}
	if err != nil {
		return err
	}
	c.user = user
	if err := a.refuseVoid(ctx, user.GetName(), c.id.Epoch); err != nil {
		return err
	}
	if err := a.refuseExpired(user); err != nil {
		return err
	}
	c.roles, err = a.roles(ctx, user.Spec.Roles)
	return err
}

// roles returns the stored roles of the names. A role that is gone or has expired denies everything.
func (a *Authority) roles(ctx context.Context, names []string) ([]*resource.Role, error) {
	var roles []*resource.Role
	for _, name := range names {
		r, err := a.get(ctx, resource.KindRole, name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		role, _ := r.(*resource.Role) // nil when it was not found
		roles = append(roles, access.InForce(name, role, a.Now()))
	}
	return roles, nil
}

func (a *Authority) refuseLocked(ctx context.Context, c *caller) error {
	subject := access.LockSubject{MFADevice: c.id.MFADevice}
	if c.id.Kind == identity.User {
		subject.User, subject.Roles = c.id.Name, c.user.Spec.Roles
	} else {
		subject.ServerID, subject.JoinToken = c.id.Name, c.id.JoinToken
	}
	return a.refuseLockedSubject(ctx, subject)
}

func (a *Authority) refuseLockedSubject(ctx context.Context, subject access.LockSubject) error {
	locks, err := listOf[*resource.Lock](ctx, a, resource.KindLock)
	if err != nil {
		return err
	}
	for _, lock := range locks {
		if access.MatchLock(lock, subject, a.Now()) {
			return access.LockedError(lock)
		}
	}
	return nil
}

// hopeless refuses callers whom no request could get past the rule.
func (r rule) hopeless(id *identity.Identity) error {
	switch {
	case r.anyone:
		return nil
	case id == nil:
		return fault.New(fault.Unauthenticated, "this needs a certificate; log in with tsh login or use an identity file")
	case id.HasSystemRole(string(resource.RoleAdmin)):
		return nil
	case id.Kind == identity.Host:
		for _, role := range id.SystemRoles {
			if slices.Contains(r.hosts, resource.SystemRole(role)) {
				return nil
			}
		}
		return errDenied
	case id.Route != nil && !r.routed:
		return fault.New(fault.AccessDenied, "a certificate for one database cannot be used for anything else")
	case !r.users && r.needs == nil:
		return errDenied
	}
	return nil
}

// decide applies one entry of the table.
func (a *Authority) decide(ctx context.Context, c *caller, r rule, request any) error {
	if err := r.hopeless(c.id); err != nil {
		return err
	}
	if r.anyone || r.users || c.id.Kind == identity.Host {
		return nil
	}
	contexts := []access.RuleContext{{Knowledge: access.Unknown}}
	if r.about != nil {
		var err error
		if contexts, err = r.about(ctx, a, request); err != nil {
			return err
		}
	}
	kind, verbs := r.needs(request)
	for _, verb := range verbs {
		for _, about := range contexts {
			if !c.may(kind, verb, about) {
				return fault.New(fault.AccessDenied, "your roles do not allow the verb %q on resources of kind %q; ask an administrator for a role that does", verb, kind)
			}
		}
	}
	return nil
}

// readWith names kinds that may be read with the rights on another kind: whoever may read databases may
// also read where they are served.
var readWith = map[string]string{resource.KindDatabaseServer: resource.KindDatabase, resource.KindDatabaseService: resource.KindDatabase}

// may reports whether a user's roles grant the verb on something of the kind.
func (c *caller) may(kind, verb string, about access.RuleContext) bool {
	if kind == "" {
		return false
	}
	decision := access.CheckRule(c.access(), kind, verb, about)
	if other, ok := readWith[kind]; ok && !decision.Allowed && decision.Role == "" { // no role denies it
		decision = access.CheckRule(c.access(), other, verb, about)
	}
	return decision.Allowed
}

// access returns a user as the access rules see it.
func (c *caller) access() access.Caller {
	as := access.Caller{User: c.id.Name, Roles: c.roles}
	if c.user != nil {
		as.Traits = c.user.Spec.Traits
	}
	return as
}

// WrapUnary implements connect.Interceptor.
func (d door) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		ctx, err := d.admit(ctx, req.Spec().Procedure, req.Any())
		if err != nil {
			return nil, authapi.ToWire(d.logged(err, req.Spec().Procedure))
		}
		res, err := next(ctx, req)
		if err != nil {
			return nil, authapi.ToWire(d.logged(fromStore(err), req.Spec().Procedure))
		}
		return res, nil
	}
}

// WrapStreamingHandler implements connect.Interceptor. A stream from the server is decided when its one
// request has been read.
func (d door) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		procedure := conn.Spec().Procedure
		c, err := d.auth.identify(ctx)
		if err != nil {
			return authapi.ToWire(d.logged(err, procedure))
		}
		guarded := &guardedConn{StreamingHandlerConn: conn, door: d, ctx: ctx}
		err = next(context.WithValue(ctx, callerKey{}, c), guarded)
		return authapi.ToWire(d.logged(fromStore(err), procedure))
	}
}

// WrapStreamingClient implements connect.Interceptor; the door is at the server.
func (d door) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

type guardedConn struct {
	connect.StreamingHandlerConn
	door door
	ctx  context.Context
}

// Receive hands on a request only after it was admitted.
func (c *guardedConn) Receive(msg any) error {
	if err := c.StreamingHandlerConn.Receive(msg); err != nil {
		return err
	}
	_, err := c.door.admit(c.ctx, c.Spec().Procedure, msg)
	return authapi.ToWire(err)
}

// fromStore gives the store's errors a kind.
func fromStore(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fault.Wrap(fault.NotFound, err, "there is no such thing in this cluster")
	case errors.Is(err, store.ErrExists):
		return fault.Wrap(fault.AlreadyExists, err, "that name is taken")
	case errors.Is(err, store.ErrChanged):
		return fault.Wrap(fault.CompareFailed, err, "it was changed meanwhile; read it again and repeat the change")
	}
	return err
}

// logged writes internal errors to the log, where their cause belongs. What went over a stream already is a fault of ours by its code.
func (d door) logged(err error, procedure string) error {
	ours := fault.KindOf(err) == fault.Internal && !errors.Is(err, context.Canceled)
	if wire, ok := errors.AsType[*connect.Error](err); ok {
		ours = wire.Code() == connect.CodeInternal || wire.Code() == connect.CodeUnknown
	}
	if err != nil && ours {
		d.auth.Logger.Error("call failed", "procedure", procedure, slog.Any("error", err))
	}
	return err
}
