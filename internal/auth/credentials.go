package auth

import (
	"context"
	"errors"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

const (
	kindUserAuth = "user_auth"
	kindUserLink = "user_link"
	kindAttempts = "login_attempts"
)

const totpPeriod = 30 // seconds, with 6 digits and SHA-1: what every authenticator app knows

// userAuth is how a person proves who it is. Stored sealed.
type userAuth struct {
	Password *passwordHash `json:"password,omitempty"`
	TOTP     []totpDevice  `json:"totp,omitempty"`
}

type totpDevice struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Secret   string `json:"secret"`    // base32
	LastStep int64  `json:"last_step"` // newest time step that was used; none before it is accepted again
}

// matchTOTP returns the time step whose code was given: the present one or a neighbour, for clocks that
// differ, but none that was used.
func (d *totpDevice) matchTOTP(code string, now time.Time) (step int64, ok bool) {
	for _, offset := range []int64{0, -1, 1} {
		at := now.Unix()/totpPeriod + offset
		if at <= d.LastStep {
			continue
		}
		valid, err := totp.ValidateCustom(code, d.Secret, time.Unix(at*totpPeriod, 0), totp.ValidateOpts{
			Period: totpPeriod, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
		})
		if err == nil && valid {
			return at, true
		}
	}
	return 0, false
}

// preference returns the cluster's rules for logging in.
func (a *Authority) preference(ctx context.Context) (*resource.AuthPreferenceSpec, error) {
	preference := &resource.AuthPreference{}
	name, _ := resource.SingletonName(resource.KindAuthPreference)
	err := a.load(ctx, resource.KindAuthPreference, name, preference)
	return &preference.Spec, err
}

// secondFactor reports whether the cluster demands a one-time code.
func (a *Authority) secondFactor(ctx context.Context) (string, error) {
	preference, err := a.preference(ctx)
	if err != nil {
		return "", err
	}
	if preference.SecondFactor == "off" {
		return "off", nil
	}
	return "otp", nil
}

// refuseLocalAuth refuses passwords, old and new, where the cluster does not want any.
func (a *Authority) refuseLocalAuth(ctx context.Context) error {
	preference, err := a.preference(ctx)
	if err == nil && !preference.AllowLocalAuth.Enabled(true) {
		err = fault.New(fault.AccessDenied, "logins with a password are switched off in this cluster; ask an administrator")
	}
	return err
}

// attempts counts failed logins of one name, whether or not there is such a user.
type attempts struct {
	Failures []time.Time `json:"failures,omitempty"`
	Until    time.Time   `json:"until,omitzero"` // locked until
	Locks    int         `json:"locks,omitempty"`
}

// Lockout after failed logins.
const (
	maxFailures   = 5
	failureWindow = 30 * time.Minute
	firstLock     = 20 * time.Minute
	longestLock   = 24 * time.Hour
)

func attemptsKey(user string) string {
	return key(kindAttempts, secretHash(resource.CanonicalUserName(user)))
}

// lockedOut reports whether too many logins of the name have failed.
func (a *Authority) lockedOut(ctx context.Context, user string) (bool, error) {
	var record attempts
	_, err := a.loadRecord(ctx, attemptsKey(user), &record)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return a.Now().Before(record.Until), err
}

// countFailure remembers a failed login and locks the name when there were too many. It returns until
// when the name is locked, if it is.
func (a *Authority) countFailure(ctx context.Context, user string) (time.Time, error) {
	for {
		var record attempts
		revision, err := a.loadRecord(ctx, attemptsKey(user), &record)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return time.Time{}, err
		}
		record.add(a.Now().UTC())
		err = a.saveRecord(ctx, attemptsKey(user), record, a.Now().Add(2*longestLock), revision)
		if !errors.Is(err, store.ErrChanged) {
			return record.Until, err
		}
	}
}

func (r *attempts) add(now time.Time) {
	if now.Before(r.Until) {
		return // came while the one that locked the name was counted
	}
	recent := r.Failures[:0]
	for _, t := range r.Failures {
		if now.Sub(t) < failureWindow {
			recent = append(recent, t)
		}
	}
	r.Failures = append(recent, now)
	if len(r.Failures) < maxFailures {
		return
	}
	lock := min(firstLock<<min(r.Locks, 10), longestLock)
	r.Locks++
	r.Until = now.Add(lock)
	r.Failures = nil
}

func (a *Authority) clearFailures(ctx context.Context, user string) error {
	err := a.Store.Delete(ctx, attemptsKey(user), 0)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// forgetUser removes everything that belongs to a user besides the resource, and makes its certificates void. The order
// is what storeCredentials relies on.
func (a *Authority) forgetUser(ctx context.Context, name string) error {
	if err := a.dropLinks(ctx, name); err != nil {
		return err
	}
	if err := a.endEpoch(ctx, name); err != nil {
		return err
	}
	err := a.Store.Delete(ctx, key(kindUserAuth, name), 0)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return a.clearFailures(ctx, name)
}

// authenticate checks password and one-time code. Every failure looks the same and takes the same time.
func (a *Authority) authenticate(ctx context.Context, name, password, code string) (device *totpDevice, err error) {
	for {
		var record userAuth
		revision, err := a.loadRecord(ctx, key(kindUserAuth, name), &record)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		ok, err := a.verifyPassword(ctx, record.Password, password)
		if err != nil {
			return nil, err
		}
		// Only now: while this one waited for its turn, others may have failed.
		locked, err := a.lockedOut(ctx, name)
		if err != nil {
			return nil, err
		}
		if !ok || locked {
			return nil, a.loginFailed(ctx, name, locked)
		}
		factor, err := a.secondFactor(ctx)
		if err != nil {
			return nil, err
		}
		if factor == "off" && len(record.TOTP) == 0 {
			return nil, a.clearFailures(ctx, name)
		}
		device = record.useCode(code, a.Now())
		if device == nil {
			return nil, a.loginFailed(ctx, name, false)
		}
		err = a.saveRecord(ctx, key(kindUserAuth, name), record, time.Time{}, revision)
		if errors.Is(err, store.ErrChanged) {
			continue // another login was faster: its code is used up, so look again
		}
		if err != nil {
			return nil, err
		}
		return device, a.clearFailures(ctx, name)
	}
}

// useCode finds the device that made the code and marks the code as used.
func (r *userAuth) useCode(code string, now time.Time) *totpDevice {
	for i := range r.TOTP {
		if step, ok := r.TOTP[i].matchTOTP(code, now); ok {
			r.TOTP[i].LastStep = step
			return &r.TOTP[i]
		}
	}
	return nil
}

var errLogin = fault.New(fault.AccessDenied, "the user name, password or one-time code is wrong")

func (a *Authority) loginFailed(ctx context.Context, name string, locked bool) error {
	if locked {
		return errLogin
	}
	until, err := a.countFailure(ctx, name)
	if err != nil {
		return err
	}
	if !until.IsZero() && a.Now().Before(until) {
		if err := a.showLocked(ctx, name, until); err != nil { // which tells nobody whether the user exists
			a.Logger.Error("a lockout is not shown in the user's status", "user", name, "error", err)
		}
	}
	return errLogin
}

// lockoutMessage is in the status of users whom failed logins have locked out.
const lockoutMessage = "too many failed logins"

// showLocked writes the lockout into the user's status, where administrators see it, unless there is a lock of theirs.
func (a *Authority) showLocked(ctx context.Context, name string, until time.Time) error {
	return a.changeStatus(ctx, name, func(status *resource.LoginStatus) bool {
		if a.locks(*status) && status.LockedMessage != lockoutMessage {
			return false
		}
		now := a.Now().UTC()
		*status = resource.LoginStatus{IsLocked: true, LockedMessage: lockoutMessage, LockedTime: &now, LockExpires: &until}
		return true
	})
}

// liftLockout forgets the failed logins of a user who has shown another way who it is. A lock of an administrator stays.
func (a *Authority) liftLockout(ctx context.Context, name string) error {
	if err := a.clearFailures(ctx, name); err != nil {
		return err
	}
	return a.changeStatus(ctx, name, func(status *resource.LoginStatus) bool {
		if status.LockedMessage != lockoutMessage || status.LockExpires == nil {
			return false
		}
		*status = resource.LoginStatus{}
		return true
	})
}

// changeStatus writes a user's status if the function changes it; a user who does not exist has none.
func (a *Authority) changeStatus(ctx context.Context, name string, change func(*resource.LoginStatus) bool) error {
	for {
		user := &resource.User{}
		err := a.load(ctx, resource.KindUser, name, user)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil || !change(&user.Spec.Status) {
			return err
		}
		if _, err = a.put(ctx, user); !errors.Is(err, store.ErrChanged) {
			return err
		}
	}
}

// unblock forgets the failed logins of a user whom an administrator has unblocked by writing its status.
func (a *Authority) unblock(ctx context.Context, now, before resource.Resource) error {
	user, isUser := now.(*resource.User)
	old, existed := before.(*resource.User)
	if !isUser || !existed || user.Spec.Status.IsLocked || !old.Spec.Status.IsLocked {
		return nil
	}
	return a.clearFailures(ctx, user.GetName())
}
