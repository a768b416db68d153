package login

import (
	"context"
	"time"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/expiring"
	"sallyport/internal/aws/redisusers"
	"sallyport/internal/aws/target"
	"sallyport/internal/fault"
)

const (
	// userLife and userFresh are how long what AWS says of a user may serve if AWS does not answer, and how long it is not
	// asked again.
	userLife    = 10 * time.Minute
	userFresh   = time.Minute
	userTimeout = 10 * time.Second
)

// userKey tells apart what AWS is asked about users.
type userKey struct {
	service             redisusers.Service
	region, role, extID string
	name                string
}

func newUserCache(now func() time.Time) *expiring.Cache[userKey, []redisusers.User] {
	return expiring.New[userKey, []redisusers.User](expiring.Config{Now: now, Refresh: userLife - userFresh, Tolerate: func(err error) bool {
		_, denied := credentials.Denied(err)
		return !denied
	}})
}

func (s *Source) userKey(t *target.Target, name string) userKey {
	chain := t.Chain()
	return userKey{serviceOf(t), chain.Region, chain.AssumeRoleARN, chain.ExternalID, name}
}

// foundUser is what AWS says of an account. Without a user and a problem it knows none of the name.
type foundUser struct {
	user    redisusers.User
	problem error // why AWS could not be asked; a fault
}

// findUser asks AWS about an account. That this is not possible is no error yet: the client may have a password.
func (s *Source) findUser(ctx context.Context, t *target.Target, name string) (found foundUser) {
	ctx, cancel := context.WithTimeout(ctx, userTimeout)
	defer cancel()
	users, err := s.users.Get(ctx, s.userKey(t, name), func(ctx context.Context) ([]redisusers.User, time.Time, error) {
		cfg, err := s.client(ctx, t.Chain())
		if err != nil {
			return nil, time.Time{}, err
		}
		users, err := serviceOf(t).Find(ctx, cfg, name)
		life := userLife
		if len(users) == 0 || users[0].Kind != redisusers.IAM {
			life = userFresh / 3 // it is perhaps being made, or changed
		}
		return users, s.cfg.Now().Add(life), err
	})
	if err != nil {
		found.problem = credentials.Explain(err)
		return found
	}
	groups := redisusers.Known(t)
	for _, u := range users {
		if found.user.ID == "" || !found.user.In(groups) && u.In(groups) {
			found.user = u // several have one name only in different groups
		}
	}
	return found
}

// checkIAMUser refuses a user whose token no database would accept.
func checkIAMUser(t *target.Target, user redisusers.User) error {
	arn, err := endpoint.ParseARN(user.ARN)
	switch account := t.Account(); {
	case user.ID != user.Name:
		return fault.New(fault.BadParameter,
			"the ElastiCache user with the name %q has the id %q, and IAM authentication wants both to be the same; make a user with --user-id %s --user-name %s, and attach its group to the cache", user.Name, user.ID, user.Name, user.Name)
	case !redisusers.KnowIAM(t.Type, t.Version):
		return fault.New(fault.BadParameter,
			"user %q is one of IAM, and database %q has version %s of the engine; IAM authentication needs 7.0: upgrade it, or let the user have a password", user.Name, t.Name, t.Version)
	case err == nil && account != "" && arn.Account != "" && arn.Account != account:
		return fault.New(fault.BadParameter,
			"the user %s is in another account than database %q, which is in %s; set assume_role_arn of the database to a role in its account", user.ARN, t.Name, account)
	default:
		return nil
	}
}
