package finder

import (
	"context"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"golang.org/x/sync/errgroup"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/described"
	"sallyport/internal/fault"
)

// look is one Find.
type look struct {
	Query
	cfg    aws.Config
	log    *slog.Logger
	found  []candidate
	unseen []Part
}

// candidate is one address of a database that AWS knows.
type candidate struct {
	described.Database // shared by the addresses of one database, and not changed

	id          string            // what AWS calls the database
	endpoint    string            // what the address adds to the name; empty for the database's first
	address     string            // host:port
	kind        string            // of the address, as host names tell it
	labels      map[string]string // of this address only
	serverName  string            // in the certificate, if not the host
	protocol    string
	description string
	lacks       error // why some labels could not be read; nil if all could
}

func (l *look) add(c candidate) { l.found = append(l.found, c) }

// skip says in the log why a database is passed over. Databases that come and go are no news.
func (l *look) skip(id *string, why string, args ...any) {
	l.log.Debug("database is passed over", append([]any{"id", aws.ToString(id), "reason", why}, args...)...)
}

// seen notes which parts of a look failed. It fails itself if nothing was seen.
func (l *look) seen(parts ...Part) error {
	var unseen []Part
	for _, part := range parts {
		if part.Err != nil {
			part.Err = credentials.Explain(part.Err)
			unseen = append(unseen, part)
		}
	}
	if len(unseen) == len(parts) {
		return unseen[0].Err
	}
	l.unseen = append(l.unseen, unseen...)
	return nil
}

// optional judges the error of a call that only labels come from. Without permission, or when the database has just
// gone, labels are lacking. Any other error makes it unknown which databases match.
func optional(err error) (lacks, failed error) {
	if err == nil {
		return nil, nil
	}
	explained := credentials.Explain(err)
	if _, denied := credentials.Denied(err); denied || fault.Is(explained, fault.NotFound) {
		return explained, nil
	}
	return nil, err
}

// attempts is how often a call is tried, unless the environment says another number.
const attempts = 10

// patient returns what has calls tried again that AWS throttles. Tags of a thousand databases may take a call each, so that
// throttling is to be expected; the SDK's own limit of tries for all calls together would be used up. Waiting grows with
// each try, and few calls are made at once: that keeps to the rate that AWS allows.
func patient(tries int) func() aws.Retryer {
	if tries == 0 {
		tries = attempts
	}
	return func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.RateLimiter = tries, ratelimit.None })
	}
}

// atOnce is how many calls one look makes at the same time.
const atOnce = 8

// forEach calls do for each item, a few at a time.
func forEach[T any](ctx context.Context, items []T, do func(context.Context, *T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range items {
		group.Go(func() error { return call(ctx, func(ctx context.Context) error { return do(ctx, &items[i]) }) })
	}
	return group.Wait()
}

// tagged is a database of which AWS tells the tags apart from the rest.
type tagged struct {
	described.Database
	lacks error
}

// note keeps the answer of a call that lists tags. It fails if it is not known which databases match.
func (t *tagged) note(tags map[string]string, err error) error {
	t.Tags = tags
	t.lacks, err = optional(err)
	return err
}
