package mongodb

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/mongowire"
	"sallyport/internal/session"
)

// Check implements engine.Checker. Of a replica set it walks the way to the first of the addresses.
func (e *Engine) Check(ctx context.Context, p *session.Probe) error {
	place, err := e.placeOf(p.Database())
	if err == nil && len(place.hosts) > 0 {
		var addresses []string
		if addresses, err = place.seeds(ctx); err == nil {
			p.At(addresses[0])
		}
	}
	if err != nil {
		p.Tell(cred.Failure(session.StepName, err))
		return err
	}
	place.discover = false
	up, err := p.Open(ctx, admin)
	switch {
	case up == nil:
		return err
	case err != nil:
		_, tlsErr := up.StartTLS(ctx)
		return errors.Join(err, tlsErr)
	}
	l, err := logIn(ctx, stay{}, up, place)
	if err != nil {
		engine.TellFailed(p, err)
		return err
	}
	p.Tell(cred.Passing(session.StepLogin, "as %q", up.User))
	p.Tell(cred.Passing(session.StepServer, "%s", l.serverVersion()))
	return nil
}

// stay is for checks, which are of one address.
type stay struct{}

func (stay) Move(context.Context, string) (*session.Upstream, error) {
	return nil, errors.New("a check stays with one member")
}

// serverVersion asks for the version, which anybody may know.
func (l *login) serverVersion() string {
	var d mongowire.Builder
	reply, err := l.ask(d.Int32("buildInfo", 1).Text("$db", admin).Build())
	if err == nil {
		if e, ok := reply.Find("version"); ok {
			if text, ok := e.Text(); ok {
				return fmt.Sprintf("version %q", cutOff(text))
			}
		}
	}
	return "the database does not tell its version"
}
