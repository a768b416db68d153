package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

const kindHost = "host_record"

// hostRecord is what is known about a host that joined.
type hostRecord struct {
	Node   string    `json:"node"`
	Roles  []string  `json:"roles"`
	Token  string    `json:"token,omitempty"`  // hash of the token it joined with
	Holder string    `json:"holder,omitempty"` // what it is in AWS, if it proved that
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

// errJoin is the one answer to a host whose token does not let it in, whatever the reason: the log of the
// authority has it. Who tries tokens must not learn which of them exist.
var errJoin = fault.New(fault.AccessDenied, "the join token was not accepted: it does not exist, has expired, is used up, or is for another type of service; make a new one with tctl tokens add")

// joinRefusal is why a host may not join, as opposed to a failure on our side, after which it may try again.
type joinRefusal struct {
	why  string // for the log
	told error  // to the host
}

func (r *joinRefusal) Error() string { return r.why }

func refuseJoin(format string, args ...any) error {
	return &joinRefusal{fmt.Sprintf(format, args...), errJoin}
}

// Join implements the API.
func (a joinAPI) Join(ctx context.Context, req *sallyportv1.JoinRequest) (*sallyportv1.JoinResponse, error) {
	if err := a.allowStranger(sourceOf(ctx, req.GetClientAddress())); err != nil {
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
	record := hostRecord{Node: req.GetNodeName(), Roles: req.GetRoles(), Joined: a.Now().UTC()}
	if req.GetProof() == nil {
		record.Token, err = a.useToken(ctx, req.GetToken(), applicant{method: resource.JoinToken, host: req.GetHostId(), proven: ownHost(ctx, req, req.GetHostId())}, roles, event)
	} else {
		err = a.admitFromAWS(ctx, req, roles, &record, event)
	}
	if refusal, ok := errors.AsType[*joinRefusal](err); ok {
		event.Error = refusal.why
		a.Logger.Warn("join refused", "host_id", event.HostID, "node", req.GetNodeName(), "method", event.Method, "reason", refusal.why)
		if fault.Is(refusal.told, fault.ConnectionProblem) { // nobody's attempt at anything
			return nil, errors.Join(refusal.told, a.record(ctx, event))
		}
		return nil, errors.Join(refusal.told, a.record(ctx, event), a.countRefusedJoin(ctx, event.RemoteAddr))
	}
	if err != nil {
		return nil, err
	}
	if event.Success = true; req.GetProof() == nil {
		event.TokenName = resource.MaskToken(req.GetToken())
	}
	if err := a.record(ctx, event); err != nil {
		return nil, err
	}
	if err := a.saveHost(ctx, event.HostID, record, nil); err != nil {
		return nil, err
	}
	id := &identity.Identity{Kind: identity.Host, Cluster: a.cluster, Name: event.HostID, SystemRoles: roleNames(roles), JoinToken: record.Token}
	cert, err := a.hostCertificate(id, publicKey)
	return &sallyportv1.JoinResponse{Identity: cert}, err
}

// ownHost reports whether the caller has shown with its certificate that the host id is its own. A proxy that
// passes on what a stranger asks states an address, and shows nothing for the stranger.
func ownHost(ctx context.Context, req *sallyportv1.JoinRequest, host string) bool {
	id := callerOf(ctx).id
	return id != nil && id.Kind == identity.Host && id.Name == host && req.GetClientAddress() == ""
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
	if slices.Contains(roles, resource.RoleAuth) || slices.Contains(roles, resource.RoleAdmin) {
		return nil, nil, fault.New(fault.AccessDenied, "an auth server does not join with a token; leave auth_service out of this host's configuration")
	}
	publicKey, err := ca.ParsePublicKey(req.GetPublicKey())
	if err != nil {
		return nil, nil, fault.Wrap(fault.BadParameter, err, "the public key cannot be used: %s", err)
	}
	return roles, publicKey, nil
}

// refuseTaken refuses a token's holder a host id that is another's: this host's own, that of a host that runs,
// or that of one that joined with another token which still lets hosts in.
func (a *Authority) refuseTaken(ctx context.Context, host, tokenHash string) error {
	record, err := a.hostRecord(ctx, host)
	if err != nil {
		return err
	}
	gone := true
	if record.Token != "" && record.Token != tokenHash {
		if gone, err = a.tokenGone(ctx, record.Token); err != nil {
			return err
		}
	}
	if host == a.HostID {
		return &joinRefusal{"host id is taken by this auth server", fault.New(fault.AccessDenied,
			"another service of this cluster already uses this data directory's host id; give this one another teleport.data_dir")}
	}
	if !gone {
		return refuseJoin("host id is taken")
	}
	alive, err := a.hostAlive(ctx, host)
	if err == nil && (alive || a.hosts.heard(host, a.Now(), lostAfter)) {
		err = &joinRefusal{"host id is taken by a host that runs", fault.New(fault.AccessDenied,
			"the host id %s belongs to a host that runs; remove host_uuid from this host's data directory, so that it gets another, or, if it is the same host, wait until its registration has run out, at most %d minutes after it stopped", host, maxHeartbeat/time.Minute)}
	}
	return err
}

// hostAlive reports whether a host has told lately that it runs.
func (a *Authority) hostAlive(ctx context.Context, host string) (bool, error) {
	for _, kind := range []string{resource.KindDatabaseService, resource.KindProxy} {
		_, err := a.Store.Get(ctx, key(kind, host))
		if !errors.Is(err, store.ErrNotFound) {
			return err == nil, err
		}
	}
	servers, err := a.Store.List(ctx, "/"+resource.KindDatabaseServer+"/", "", 0)
	return slices.ContainsFunc(servers, func(item store.Item) bool { return strings.HasSuffix(item.Key, "/"+host) }), err
}

// saveHost writes a host's record unless the check, which may be nil, refuses to replace the one that is there.
func (a *Authority) saveHost(ctx context.Context, host string, record hostRecord, check func(old hostRecord) error) error {
	for {
		var old hostRecord
		revision, err := a.loadRecord(ctx, key(kindHost, host), &old)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil && check != nil {
			if err := check(old); err != nil {
				return err
			}
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
