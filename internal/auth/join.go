package auth

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

// Lifetimes of join tokens made by CreateToken.
const (
	defaultTokenTTL = 30 * time.Minute
	maxTokenTTL     = 48 * time.Hour
)

const kindHost = "host_record"

// hostRecord is what is known about a host that joined.
type hostRecord struct {
	Node   string    `json:"node"`
	Roles  []string  `json:"roles"`
	Token  string    `json:"token,omitempty"` // hash of the token it joined with
	Joined time.Time `json:"joined"`
}

func (a *Authority) hostRecord(ctx context.Context, host string) (hostRecord, error) {
	var record hostRecord
	_, err := a.loadRecord(ctx, key(kindHost, host), &record)
	if errors.Is(err, store.ErrNotFound) {
		return hostRecord{}, nil // this process itself, which never joined
	}
	return record, err
}

// joinAPI implements JoinService.
type joinAPI struct{ *Authority }

// errJoin is the one answer to a host that may not join, whatever the reason: the log of the authority
// has it.
var errJoin = fault.New(fault.AccessDenied, "the join token was not accepted: it does not exist, has expired, is used up, or is for another type of service; make a new one with tctl tokens add")

// Join implements the API.
func (a joinAPI) Join(ctx context.Context, req *sallyportv1.JoinRequest) (*sallyportv1.JoinResponse, error) {
	if err := a.logins.allow(sourceOf(ctx, req.GetClientAddress())); err != nil {
		return nil, err
	}
	roles, publicKey, err := checkJoin(req)
	if err != nil {
		return nil, err
	}
	event := &audit.InstanceJoin{
		HostID: req.GetHostId(), NodeName: req.GetNodeName(), Role: strings.Join(req.GetRoles(), ","), Method: resource.JoinToken,
		ConnectionMeta: audit.ConnectionMeta{RemoteAddr: sourceOf(ctx, req.GetClientAddress())},
	}
	tokenHash, why := a.useToken(ctx, req.GetToken(), roles)
	if why == nil {
		event.TokenName = resource.MaskToken(req.GetToken())
		why = a.hostTaken(ctx, req.GetHostId(), tokenHash)
	}
	if why != nil {
		event.Error = why.Error()
		a.Logger.Warn("join refused", "host_id", req.GetHostId(), "node", req.GetNodeName(), "reason", why.Error())
		return nil, errors.Join(errJoin, a.record(ctx, event))
	}
	event.Success = true
	if err := a.record(ctx, event); err != nil {
		return nil, err
	}
	record := hostRecord{Node: req.GetNodeName(), Roles: req.GetRoles(), Token: tokenHash, Joined: a.Now().UTC()}
	if err := a.saveHost(ctx, req.GetHostId(), record); err != nil {
		return nil, err
	}
	id := &identity.Identity{Kind: identity.Host, Cluster: a.cluster, Name: req.GetHostId(), SystemRoles: roleNames(roles), JoinToken: tokenHash}
	cert, err := a.hostCertificate(id, publicKey)
	return &sallyportv1.JoinResponse{Identity: cert}, err
}

func checkJoin(req *sallyportv1.JoinRequest) ([]resource.SystemRole, any, error) {
	if id, err := uuid.Parse(req.GetHostId()); err != nil || id.String() != req.GetHostId() {
		return nil, nil, fault.New(fault.BadParameter, "the host id is not a UUID; remove host_uuid from the data directory and start again")
	}
	if len(req.GetNodeName()) > 253 || len(req.GetRoles()) == 0 {
		return nil, nil, fault.New(fault.BadParameter, "the join request lacks a service or has an overlong node name")
	}
	roles, err := resource.ParseSystemRoles(strings.Join(req.GetRoles(), ","))
	if err != nil {
		return nil, nil, err
	}
	publicKey, err := ca.ParsePublicKey(req.GetPublicKey())
	if err != nil {
		return nil, nil, fault.Wrap(fault.BadParameter, err, "the public key cannot be used: %s", err)
	}
	return roles, publicKey, nil
}

// useToken checks a join token and counts its use. The error is for the log: the host is told no reason.
func (a *Authority) useToken(ctx context.Context, secret string, roles []resource.SystemRole) (hash string, why error) {
	if secret == "" {
		return "", errors.New("no token given")
	}
	for {
		token, static, err := a.findToken(ctx, secret)
		if err != nil {
			return "", err
		}
		if token.Spec.JoinMethod != resource.JoinToken {
			return "", fmt.Errorf("token is for the join method %s", token.Spec.JoinMethod)
		}
		for _, role := range roles {
			if !slices.Contains(token.Spec.Roles, role) {
				return "", fmt.Errorf("token does not grant %s", role)
			}
		}
		if static || token.Spec.UsesLeft == nil {
			return secretHash(secret), nil
		}
		if *token.Spec.UsesLeft <= 0 {
			return "", errors.New("token is used up")
		}
		*token.Spec.UsesLeft--
		_, err = a.put(ctx, token)
		if !errors.Is(err, store.ErrChanged) {
			return secretHash(secret), err
		}
	}
}

// findToken looks for a stored token and then for a static one.
func (a *Authority) findToken(ctx context.Context, secret string) (token *resource.Token, static bool, err error) {
	token = &resource.Token{}
	err = a.load(ctx, resource.KindToken, secret, token)
	if err == nil {
		if expires := token.Metadata.Expires; expires != nil && !a.Now().Before(*expires) {
			return nil, false, errors.New("token has expired")
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
	return nil, false, errors.New("token does not exist or has expired")
}

// hostTaken returns why a token's holder may not have a host id: it is this host's own, or that of a host
// that joined with another token which still lets hosts in. The error is for the log.
func (a *Authority) hostTaken(ctx context.Context, host, tokenHash string) error {
	record, err := a.hostRecord(ctx, host)
	if err != nil {
		return err
	}
	joinedOtherwise := record.Token != "" && record.Token != tokenHash && !a.tokenGone(ctx, record.Token)
	if host == a.HostID || joinedOtherwise {
		return errors.New("host id is taken")
	}
	return nil
}

// tokenGone reports whether the token with which a host joined no longer lets anyone in, so that the
// host's administrator must have made the new one.
func (a *Authority) tokenGone(ctx context.Context, hash string) bool {
	_, err := a.Store.Get(ctx, "/"+resource.KindToken+"/"+hash)
	return errors.Is(err, store.ErrNotFound)
}

func (a *Authority) saveHost(ctx context.Context, host string, record hostRecord) error {
	for {
		var old hostRecord
		revision, err := a.loadRecord(ctx, key(kindHost, host), &old)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err = a.saveRecord(ctx, key(kindHost, host), record, time.Time{}, revision); !errors.Is(err, store.ErrChanged) {
			return err
		}
	}
}

func (a *Authority) hostCertificate(id *identity.Identity, publicKey any) (*sallyportv1.HostCertificate, error) {
	der, err := a.signIdentity(id, publicKey, a.Now().Add(hostLifetime))
	if err != nil {
		return nil, err
	}
	return &sallyportv1.HostCertificate{
		Certificate: ca.EncodeCertificate(der), Authorities: a.publicAuthorities(), ClusterName: a.cluster,
	}, nil
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
	if _, _, err := a.findToken(ctx, value); err == nil {
		return nil, fault.New(fault.AlreadyExists, "a token with this value already exists; choose another value")
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
