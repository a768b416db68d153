package auth

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"sallyport/internal/access"
	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

// Lifetimes of join tokens made by CreateToken.
const (
	defaultTokenTTL = 30 * time.Minute
	maxTokenTTL     = 48 * time.Hour
)

// applicant is a host that wants to join, and how.
type applicant struct {
	method string
	host   string                        // id that it gets
	proven bool                          // the id is the host's own, as its certificate shows
	match  func(resource.TokenRule) bool // what it proved, for methods whose tokens have rules; else nil
}

// useToken checks whether a join token lets a host in and counts its use. A joinRefusal says that it does not.
// Unless it is proven that the host id is the host's, it must not be another's. The event gets the token's end.
func (a *Authority) useToken(ctx context.Context, secret string, who applicant, roles []resource.SystemRole, event *audit.InstanceJoin) (hash string, err error) {
	hash = secretHash(secret)
	for {
		token, static, err := a.tokenFor(ctx, secret, who.method, roles)
		if err != nil {
			return "", err
		}
		if expires := token.Metadata.Expires; expires != nil {
			event.TokenExpires = *expires
		}
		if who.match != nil && !slices.ContainsFunc(token.Spec.Allow, who.match) {
			return "", refuseJoin("no rule of the token allows the host")
		}
		if err := a.refuseLockedSubject(ctx, access.LockSubject{ServerID: who.host, JoinToken: hash}); fault.Is(err, fault.AccessDenied) {
			return "", refuseJoin("%s", fault.Message(err))
		} else if err != nil {
			return "", err
		}
		if !who.proven {
			if err := a.refuseTaken(ctx, who.host, hash); err != nil {
				return "", err
			}
		}
		if static || token.Spec.UsesLeft == nil {
			return hash, nil
		}
		if *token.Spec.UsesLeft <= 0 {
			return "", refuseJoin("token is used up")
		}
		*token.Spec.UsesLeft--
		_, err = a.put(ctx, token)
		if !errors.Is(err, store.ErrChanged) && !errors.Is(err, store.ErrNotFound) { // otherwise look again
			return hash, err
		}
	}
}

// tokenFor returns a token that lets hosts join with the method, for the roles.
func (a *Authority) tokenFor(ctx context.Context, secret, method string, roles []resource.SystemRole) (token *resource.Token, static bool, err error) {
	token, static, err = a.findToken(ctx, secret)
	if err != nil {
		return nil, false, err
	}
	if token.Spec.JoinMethod != method {
		return nil, false, refuseJoin("token is for the join method %s", token.Spec.JoinMethod)
	}
	for _, role := range roles {
		if !slices.Contains(token.Spec.Roles, role) {
			return nil, false, refuseJoin("token does not grant %s", role)
		}
	}
	return token, static, nil
}

// findToken looks for a stored token and then for a static one.
func (a *Authority) findToken(ctx context.Context, secret string) (token *resource.Token, static bool, err error) {
	if secret == "" {
		return nil, false, refuseJoin("no token given")
	}
	token = &resource.Token{}
	err = a.load(ctx, resource.KindToken, secret, token)
	if err == nil {
		if expires := token.Metadata.Expires; expires != nil && !a.Now().Before(*expires) {
			return nil, false, refuseJoin("token has expired")
		}
		return token, false, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, false, err
	}
	for _, token := range a.StaticTokens {
		if secretHash(token.GetName()) == secretHash(secret) {
			return token, true, nil
		}
	}
	return nil, false, refuseJoin("token does not exist or has expired")
}

// tokenGone reports whether the token with which a host joined no longer lets anyone in, so that the
// host's administrator must have made the new one.
func (a *Authority) tokenGone(ctx context.Context, hash string) (bool, error) {
	_, err := a.Store.Get(ctx, "/"+resource.KindToken+"/"+hash)
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	return false, err
}

// CreateToken implements the API.
func (a joinAPI) CreateToken(ctx context.Context, req *sallyportv1.CreateTokenRequest) (*sallyportv1.CreateTokenResponse, error) {
	roles, err := resource.ParseSystemRoles(strings.Join(req.GetRoles(), ","))
	if err != nil {
		return nil, err
	}
	ttl := time.Duration(req.GetTtlSeconds()) * time.Second
	switch {
	case ttl == 0:
		ttl = defaultTokenTTL
	case ttl < 0 || ttl > maxTokenTTL:
		return nil, fault.New(fault.BadParameter, "a token lives between one second and %s; create a token resource for a longer life", maxTokenTTL)
	}
	value := req.GetValue()
	if value == "" {
		value = randomSecret()
	}
	r, err := resource.New(resource.KindToken)
	if err != nil {
		return nil, err
	}
	token := r.(*resource.Token)
	expires := a.Now().Add(ttl).UTC()
	token.Metadata.Name, token.Metadata.Labels, token.Metadata.Expires = value, req.GetLabels(), &expires
	token.Spec.Roles = roles
	if err := token.Validate(); err != nil {
		return nil, err
	}
	_, _, err = a.findToken(ctx, value)
	if err == nil {
		return nil, fault.New(fault.AlreadyExists, "a token with this value already exists; choose another value")
	}
	if _, free := errors.AsType[*joinRefusal](err); !free {
		return nil, err
	}
	if err := a.recordChange(ctx, token, nil); err != nil {
		return nil, err
	}
	if _, err := a.create(ctx, token); err != nil {
		return nil, err
	}
	return &sallyportv1.CreateTokenResponse{Token: value, Roles: roleNames(token.Spec.Roles), Expires: timestamppb.New(expires)}, nil
}

// randomSecret returns 128 random bits as 32 hexadecimal digits.
func randomSecret() string {
	var secret [16]byte
	_, _ = rand.Read(secret[:]) // never fails (crypto/rand)
	return hex.EncodeToString(secret[:])
}
