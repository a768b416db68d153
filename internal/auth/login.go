package auth

import (
	"context"
	"errors"
	"net/url"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"sallyport/internal/access"
	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/peer"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

// loginAPI implements LoginService.
type loginAPI struct{ *Authority }

var errLink = fault.New(fault.NotFound, "this link is unknown, was used or has expired; ask an administrator for a new one")

func (a *Authority) link(ctx context.Context, token string) (userLink, uint64, error) {
	var link userLink
	revision, err := a.loadRecord(ctx, key(kindUserLink, secretHash(token)), &link)
	if errors.Is(err, store.ErrNotFound) || err == nil && !a.Now().Before(link.Expires) {
		return link, 0, errLink
	}
	return link, revision, err
}

// GetInvite implements the API.
func (a loginAPI) GetInvite(ctx context.Context, req *sallyportv1.GetInviteRequest) (*sallyportv1.GetInviteResponse, error) {
	if err := a.allowStranger(sourceOf(ctx, req.GetClientAddress())); err != nil {
		return nil, err
	}
	if err := a.refuseLocalAuth(ctx); err != nil {
		return nil, err
	}
	link, _, err := a.link(ctx, req.GetToken())
	if err != nil {
		return nil, err
	}
	res := &sallyportv1.GetInviteResponse{User: link.User, Expires: timestamppb.New(link.Expires), MinimumPasswordLength: minPassword}
	factor, err := a.secondFactor(ctx)
	if err != nil {
		return nil, err
	}
	if factor != "off" {
		res.TotpSecret = link.TOTP
		res.TotpUri = totpURI(a.cluster, link.User, link.TOTP)
	}
	return res, nil
}

// totpURI returns the address that authenticator apps read from a QR code (Key URI Format).
func totpURI(issuer, account, secret string) string {
	query := url.Values{"secret": {secret}, "issuer": {issuer}, "period": {"30"}, "digits": {"6"}, "algorithm": {"SHA1"}}
	return (&url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + account, RawQuery: query.Encode()}).String()
}

// AcceptInvite implements the API.
func (a loginAPI) AcceptInvite(ctx context.Context, req *sallyportv1.AcceptInviteRequest) (*sallyportv1.AcceptInviteResponse, error) {
	source := sourceOf(ctx, req.GetClientAddress())
	if err := a.allowStranger(source); err != nil {
		return nil, err
	}
	if err := a.refuseLocalAuth(ctx); err != nil {
		return nil, err
	}
	link, revision, err := a.link(ctx, req.GetToken())
	if err != nil {
		return nil, err
	}
	if err := checkPassword(req.GetPassword()); err != nil {
		return nil, err
	}
	record, err := a.newCredentials(ctx, link, req)
	if err != nil {
		return nil, err
	}
	who := audit.UserMeta{User: link.User, Kind: audit.UserHuman}
	connection := audit.ConnectionMeta{RemoteAddr: source}
	if err := a.record(ctx, &audit.UserPasswordChange{UserMeta: who, ConnectionMeta: connection}); err != nil {
		return nil, err
	}
	for _, device := range record.TOTP {
		event := &audit.MFAChange{UserMeta: who, ConnectionMeta: connection, Action: audit.Created, Device: device.meta()}
		if err := a.record(ctx, event); err != nil {
			return nil, err
		}
	}
	epoch, err := a.epoch(ctx, link.User)
	if err != nil {
		return nil, err
	}
	// Whoever deletes the link has used it: of two who come at once, one is refused.
	if err := a.Store.Delete(ctx, key(kindUserLink, secretHash(req.GetToken())), revision); err != nil {
		return nil, errLink
	}
	if err := a.storeCredentials(ctx, link.User, record, epoch); err != nil {
		return nil, err
	}
	return &sallyportv1.AcceptInviteResponse{User: link.User}, a.liftLockout(ctx, link.User)
}

// storeCredentials writes what a link was used for, unless the user was reset since the epoch was read. A reset
// (forgetUser) ends the links first, then the epoch, and removes what is stored last: so either it is seen here, or it
// removes what was written here. It is what makes new links, so that nothing is stored when one is used.
func (a *Authority) storeCredentials(ctx context.Context, user string, record *userAuth, epoch int) error {
	revision, err := a.swapRecord(ctx, key(kindUserAuth, user), record, time.Time{}, 0)
	if errors.Is(err, store.ErrChanged) {
		return errLink
	}
	if err != nil {
		return err
	}
	now, err := a.epoch(ctx, user)
	if err == nil && now != epoch {
		_ = a.Store.Delete(ctx, key(kindUserAuth, user), revision) // unless it was replaced since then
		err = errLink
	}
	return err
}

// newCredentials makes what is stored for a user who accepts a link.
func (a loginAPI) newCredentials(ctx context.Context, link userLink, req *sallyportv1.AcceptInviteRequest) (*userAuth, error) {
	record := &userAuth{}
	factor, err := a.secondFactor(ctx)
	if err != nil {
		return nil, err
	}
	if factor != "off" {
		device := totpDevice{ID: newUUID(), Name: "otp", Secret: link.TOTP}
		step, ok := device.matchTOTP(req.GetTotpCode(), a.Now())
		if !ok {
			return nil, fault.New(fault.BadParameter, "the one-time code is wrong; check the clock of your device and enter the code it shows now")
		}
		device.LastStep = step
		record.TOTP = []totpDevice{device}
	}
	record.Password, err = hashPassword(req.GetPassword())
	return record, err
}

func (d *totpDevice) meta() audit.MFADevice {
	return audit.MFADevice{Name: d.Name, UUID: d.ID, Type: "TOTP"}
}

// Login implements the API.
func (a loginAPI) Login(ctx context.Context, req *sallyportv1.LoginRequest) (*sallyportv1.LoginResponse, error) {
	source := sourceOf(ctx, req.GetClientAddress())
	if err := a.allowStranger(source); err != nil {
		return nil, err
	}
	publicKey, err := publicKeyOf(req.GetPublicKey())
	if err != nil {
		return nil, err
	}
	event := &audit.UserLogin{
		UserMeta: audit.UserMeta{User: req.GetUser(), Kind: audit.UserHuman}, Method: "local",
		ConnectionMeta: audit.ConnectionMeta{RemoteAddr: source}, UserAgent: req.GetUserAgent(),
	}
	as, device, err := a.login(ctx, req)
	if err != nil {
		event.Error = fault.Message(err)
		return nil, errors.Join(err, a.record(ctx, event))
	}
	event.Success = true
	if device != nil {
		event.Device = device.meta()
	}
	if err := a.record(ctx, event); err != nil {
		return nil, err
	}
	if host, ok := peer.Host(source); ok {
		as.id.LoginIP = host
		if access.Options(as.roles, access.Defaults{}).PinSourceIP {
			as.id.PinnedIP = host
		}
	}
	expires := earliest(a.Now().Add(a.loginTTL(ctx, as, req.GetTtl().AsDuration())), as.accountExpires())
	as.id.LoginExpires = expires.UTC().Truncate(time.Second)
	der, err := a.issue(ctx, as, as.id, accounts{}, publicKey, expires)
	if err != nil {
		return nil, err
	}
	return &sallyportv1.LoginResponse{Certificate: ca.EncodeCertificate(der), Authorities: a.publicAuthorities(), ClusterName: a.cluster}, nil
}

func (a loginAPI) login(ctx context.Context, req *sallyportv1.LoginRequest) (*caller, *totpDevice, error) {
	if err := a.refuseLocalAuth(ctx); err != nil {
		return nil, nil, err
	}
	epoch, err := a.epoch(ctx, req.GetUser()) // before the password is looked at: a reset meanwhile makes the login void
	if err != nil {
		return nil, nil, err
	}
	device, err := a.authenticate(ctx, req.GetUser(), req.GetPassword(), req.GetTotpCode())
	if err != nil {
		return nil, nil, err
	}
	as, err := a.impersonated(ctx, req.GetUser())
	if fault.Is(err, fault.NotFound) {
		return nil, nil, errLogin
	}
	if err == nil && device != nil {
		err = a.refuseLockedSubject(ctx, access.LockSubject{User: as.id.Name, Roles: as.user.Spec.Roles, MFADevice: device.ID})
	}
	if err == nil {
		as.id.Epoch = epoch
	}
	if err == nil && as.user.Spec.Status.IsLocked {
		err = a.unlockExpired(ctx, as)
	}
	return as, device, err
}

// locks reports whether a status keeps its user from logging in now.
func (a *Authority) locks(status resource.LoginStatus) bool {
	return status.IsLocked && (status.LockExpires == nil || a.Now().Before(*status.LockExpires))
}

// unlockExpired clears the status that a lockout left, and refuses while an administrator's lock holds.
func (a *Authority) unlockExpired(ctx context.Context, as *caller) error {
	if a.locks(as.user.Spec.Status) {
		return errLogin
	}
	as.user.Spec.Status = resource.LoginStatus{}
	_, err := a.put(ctx, as.user)
	return err
}

// loginTTL is how long a login lasts: what was asked for, within the cluster's default, the roles and
// the hard limit.
func (a *Authority) loginTTL(ctx context.Context, as *caller, asked time.Duration) time.Duration {
	limit := min(access.Options(as.roles, access.Defaults{}).MaxSessionTTL, maxUserTTL)
	ttl := resource.DefaultSessionTTL
	if preference, err := a.preference(ctx); err == nil && preference.DefaultSessionTTL > 0 {
		ttl = time.Duration(preference.DefaultSessionTTL)
	}
	if asked > 0 {
		ttl = asked
	}
	return min(ttl, limit)
}
