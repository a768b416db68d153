// Package policy has an agent allow itself what it needs to log in to its databases: it keeps an inline policy of the
// identity in AWS by which it reaches them.
//
// Several agents of a cluster may share one identity, so they take turns, and each notes what it needs: a permission is
// taken away when nobody needs it any more, and what nobody here has put there stays.
package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"
	"time"

	"sallyport/internal/aws/credentials"
)

// Permission is one action on one resource, which may end in a star.
type Permission struct{ Action, Resource string }

// Ledger is where the agents of a cluster take turns and note what they need. Errors are faults.
type Ledger interface {
	// Begin gives the turn at the policy of an identity, an ARN without a path. Whoever has the turn calls again before
	// changing anything: the change is recorded, and what is about to be put into the policy is noted. It fails with
	// ErrBusy while another agent has its turn.
	Begin(ctx context.Context, identity string, change Change) (*Turn, error)
	// End ends a turn and notes what the policy has for this agent.
	End(ctx context.Context, turn *Turn, granted []Permission) error
	// GiveUp ends a turn without news of the policy.
	GiveUp(ctx context.Context, turn *Turn) error
}

// Change is what is about to be done to a policy; the zero Change is nothing.
type Change struct {
	Policy      string // its name
	Adds, Drops []Permission
}

// Turn is the right to change a policy for a minute.
type Turn struct {
	Identity, ID string
	Others       []Permission // that other agents need
	Own          []Permission // that were noted for this agent
	Left         []Permission // of agents that are gone
}

// Config is what a Keeper is made of. All fields must be set.
type Config struct {
	Credentials *credentials.Provider
	Ledger      Ledger
	Cluster     string // its name is in that of the policy
	Logger      *slog.Logger
	Now         func() time.Time
}

const (
	nameSuffix = "-teleport-database-access"
	maxName    = 128 // "IAM and AWS STS quotas" in the IAM user guide
)

// Name returns the name of the policies that the agents of a cluster keep. Names of clusters that are too long for it are
// cut, and get a hash in place of what is missing.
func Name(cluster string) string {
	if room := maxName - len(nameSuffix); len(cluster) > room {
		sum := sha256.Sum256([]byte(cluster))
		hash := "-" + hex.EncodeToString(sum[:8])
		cluster = strings.TrimRight(cluster[:room-len(hash)], ".-") + hash
	}
	return cluster + nameSuffix
}
