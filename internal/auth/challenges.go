package auth

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/aws/awsjoin"
	"sallyport/internal/fault"
)

const (
	challengeLife = time.Minute
	maxChallenges = 10_000
)

type challenge [awsjoin.ChallengeSize]byte

// challenges are those that were given out and not used yet. They are in memory only: after a restart of the auth server
// none is good any more, and hosts ask for another. The zero value is ready for use; safe for concurrent use.
type challenges struct {
	mu    sync.Mutex
	until map[challenge]time.Time // guarded by mu
}

// issue makes one. It fails when too many are waiting to be used.
func (c *challenges) issue(now time.Time) (challenge, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until == nil {
		c.until = make(map[challenge]time.Time)
	}
	if len(c.until) >= maxChallenges {
		for one, until := range c.until {
			if !now.Before(until) {
				delete(c.until, one)
			}
		}
	}
	if len(c.until) >= maxChallenges {
		return challenge{}, fault.New(fault.LimitExceeded, "too many hosts are joining at this moment; try again in a minute")
	}
	var one challenge
	_, _ = rand.Read(one[:]) // never fails (crypto/rand)
	c.until[one] = now.Add(challengeLife)
	return one, nil
}

// use reports whether a challenge was given out and is used for the first time, and in time.
func (c *challenges) use(given []byte, now time.Time) bool {
	if len(given) != awsjoin.ChallengeSize {
		return false
	}
	one := challenge(given)
	c.mu.Lock()
	defer c.mu.Unlock()
	until, known := c.until[one]
	delete(c.until, one)
	return known && now.Before(until)
}

// GetJoinChallenge implements the API.
func (a joinAPI) GetJoinChallenge(ctx context.Context, req *sallyportv1.GetJoinChallengeRequest) (*sallyportv1.GetJoinChallengeResponse, error) {
	if err := a.allowStranger(sourceOf(ctx, req.GetClientAddress())); err != nil {
		return nil, err
	}
	one, err := a.challenges.issue(a.Now())
	if err != nil {
		return nil, err
	}
	return &sallyportv1.GetJoinChallengeResponse{Challenge: one[:]}, nil
}
