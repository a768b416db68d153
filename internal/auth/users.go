package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

// Lifetimes of the links that set a password.
const (
	defaultInvite = time.Hour
	maxInvite     = 48 * time.Hour
	defaultReset  = 8 * time.Hour
	maxReset      = 24 * time.Hour
)

// userLink is an invite or a reset, found by the hash of the token in its address. Stored sealed.
type userLink struct {
	User    string    `json:"user"`
	Reset   bool      `json:"reset,omitempty"`
	TOTP    string    `json:"totp"` // secret of the device to be registered, base32
	Expires time.Time `json:"expires"`
}

// userAPI implements UserService.
type userAPI struct{ *Authority }

// CreateUser implements the API.
func (a userAPI) CreateUser(ctx context.Context, req *sallyportv1.CreateUserRequest) (*sallyportv1.CreateUserResponse, error) {
	ttl, err := linkTTL(req.GetTtl().AsDuration(), defaultInvite, maxInvite)
	if err != nil {
		return nil, err
	}
	r, err := resource.New(resource.KindUser)
	if err != nil {
		return nil, err
	}
	user := r.(*resource.User)
	user.Metadata.Name = req.GetName()
	user.Spec.Roles = req.GetRoles()
	user.Spec.Traits = resource.Traits{}
	for _, trait := range req.GetTraits() {
		user.Spec.Traits[trait.GetName()] = trait.GetValues()
	}
	c := callerOf(ctx)
	user.Spec.CreatedBy = &resource.CreatedBy{Time: a.Now().UTC(), User: resource.CreatedByUser{Name: userMeta(c).User}}
	if err := user.Validate(); err != nil {
		return nil, err
	}
	if err := a.checkRolesExist(ctx, user.Spec.Roles); err != nil {
		return nil, err
	}
	if err := a.mayChangeUser(ctx, user); err != nil {
		return nil, err
	}
	if err := a.refuseTwin(ctx, user.GetName()); err != nil {
		return nil, err
	}
	if err := a.recordChange(ctx, user, nil); err != nil {
		return nil, err
	}
	if err := a.recordLink(ctx, user.GetName(), ttl); err != nil {
		return nil, err
	}
	if _, err := a.create(ctx, user); err != nil {
		return nil, err
	}
	link, err := a.makeLink(ctx, user.GetName(), false, ttl)
	return &sallyportv1.CreateUserResponse{Link: link}, err
}

// refuseTwin refuses a name that exists already, also in other letter case: people could not tell the
// two apart, and they would share one lockout.
func (a *Authority) refuseTwin(ctx context.Context, name string) error {
	users, err := a.list(ctx, resource.KindUser)
	if err != nil {
		return err
	}
	for _, other := range users {
		if resource.CanonicalUserName(other.GetName()) == resource.CanonicalUserName(name) {
			return fault.New(fault.AlreadyExists, "user %q already exists; change it with tctl users update %s --set-roles=...", other.GetName(), other.GetName())
		}
	}
	return nil
}

// ResetUser implements the API.
func (a userAPI) ResetUser(ctx context.Context, req *sallyportv1.ResetUserRequest) (*sallyportv1.ResetUserResponse, error) {
	ttl, err := linkTTL(req.GetTtl().AsDuration(), defaultReset, maxReset)
	if err != nil {
		return nil, err
	}
	name := req.GetName()
	user := &resource.User{}
	err = a.load(ctx, resource.KindUser, name, user)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.New(fault.NotFound, "user %q does not exist; see tctl users ls", name)
	}
	if err != nil {
		return nil, err
	}
	if err := a.mayAdminister(ctx, user.Spec.Roles); err != nil {
		return nil, err
	}
	if err := a.refuseOwnRelease(ctx, user); err != nil {
		return nil, err
	}
	if err := a.recordLink(ctx, name, ttl); err != nil {
		return nil, err
	}
	if err := a.forgetUser(ctx, name); err != nil {
		return nil, err
	}
	if user.Spec.Status.IsLocked {
		user.Spec.Status = resource.LoginStatus{}
		if _, err := a.put(ctx, user); err != nil {
			return nil, err
		}
	}
	link, err := a.makeLink(ctx, name, true, ttl)
	return &sallyportv1.ResetUserResponse{Link: link}, err
}

// refuseOwnRelease refuses a reset by which the caller would lift a lock or a lockout of its own.
func (a *Authority) refuseOwnRelease(ctx context.Context, user *resource.User) error {
	if c := callerOf(ctx); c.user == nil || c.user.GetName() != user.GetName() {
		return nil
	}
	locked, err := a.lockedOut(ctx, user.GetName())
	if err == nil && (locked || a.locks(user.Spec.Status)) {
		err = fault.New(fault.AccessDenied, "your own account is locked and a reset would unlock it; ask another administrator, or run tctl users reset on the auth server's host")
	}
	return err
}

// recordLink records that a link for setting a password is about to be made.
func (a *Authority) recordLink(ctx context.Context, name string, ttl time.Duration) error {
	return a.record(ctx, &audit.ResetPasswordTokenCreate{UserMeta: userMeta(callerOf(ctx)), TTL: ttl,
		ResourceMeta: audit.ResourceMeta{Name: name, Expires: a.Now().Add(ttl).UTC()}})
}

func linkTTL(ttl, normal, longest time.Duration) (time.Duration, error) {
	switch {
	case ttl == 0:
		return normal, nil
	case ttl < 0 || ttl > longest:
		return 0, fault.New(fault.BadParameter, "the link lives between one second and %s; choose another --ttl", longest)
	}
	return ttl, nil
}

// makeLink makes the only link of a user; earlier ones end. It has been recorded.
func (a *Authority) makeLink(ctx context.Context, name string, reset bool, ttl time.Duration) (*sallyportv1.UserLink, error) {
	if err := a.dropLinks(ctx, name); err != nil {
		return nil, err
	}
	generated, err := totp.Generate(totp.GenerateOpts{Issuer: a.cluster, AccountName: name, Period: totpPeriod, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		return nil, fmt.Errorf("making second factor: %w", err)
	}
	token := randomSecret()
	link := userLink{User: name, Reset: reset, TOTP: generated.Secret(), Expires: a.Now().Add(ttl).UTC()}
	if err := a.saveRecord(ctx, key(kindUserLink, secretHash(token)), link, link.Expires, 0); err != nil {
		return nil, err
	}
	page := "invite"
	if reset {
		page = "reset"
	}
	proxy, err := a.proxyAddress(ctx)
	if err != nil {
		return nil, err
	}
	return &sallyportv1.UserLink{
		User: name, Token: token, Url: "https://" + proxy + "/web/" + page + "/" + token, Expires: timestamppb.New(link.Expires),
	}, nil
}

// dropLinks ends all links of a user.
func (a *Authority) dropLinks(ctx context.Context, name string) error {
	items, err := a.Store.List(ctx, "/"+kindUserLink+"/", "", 0)
	if err != nil {
		return err
	}
	for _, item := range items {
		var link userLink
		if _, err := a.loadRecord(ctx, item.Key, &link); err != nil || link.User != name {
			continue
		}
		if err := a.Store.Delete(ctx, item.Key, 0); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// proxyAddress returns the public address of a proxy, for links.
func (a *Authority) proxyAddress(ctx context.Context) (string, error) {
	addresses, err := a.proxyAddresses(ctx)
	if err != nil {
		return "", err
	}
	if len(addresses) == 0 {
		return net.JoinHostPort("<proxy-address>", "3080"), nil
	}
	return addresses[0], nil
}

func (a *Authority) proxyAddresses(ctx context.Context) ([]string, error) {
	servers, err := listOf[*resource.Proxy](ctx, a, resource.KindProxy)
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, server := range servers {
		addresses = append(addresses, server.Spec.PublicAddr)
	}
	return addresses, nil
}
