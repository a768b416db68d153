package redis

import (
	"context"
	"errors"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// Check implements engine.Checker. An account whose password only its user knows cannot be logged in to; that is
// told, and no error.
func (e *Engine) Check(ctx context.Context, p *session.Probe) error {
	place, err := p.Database().RedisPlace()
	if err != nil {
		p.Tell(cred.Failure(session.StepName, fault.Wrap(fault.BadParameter, err, "the uri cannot be used: %s", err)))
		return err
	}
	if !p.Database().InAWS() {
		p.At(place.Address)
	}
	up, err := p.Open(ctx, "")
	if up == nil {
		return err
	}
	b, tlsErr := connect(ctx, e, up)
	if err = errors.Join(err, tlsErr); err != nil {
		return err
	}
	defer b.in.Release()
	if err := b.authenticate(ctx, up.User, up.Password); err != nil {
		return tellLogin(p, up, err)
	}
	p.Tell(cred.Passing(session.StepLogin, "as %q", up.User))
	return tellServer(ctx, p, b, place)
}

// tellLogin tells of a login that did not succeed.
func tellLogin(p *session.Probe, up *session.Upstream, err error) error {
	refused, ok := errors.AsType[*refusedLogin](err)
	if ok && up.Password == "" {
		step := cred.Passing(session.StepLogin, "the database wants a password for %q: %s", up.User, refused.reply)
		step.Result, step.Advice = cred.Doubtful, "clients give it with AUTH; this check has none, so it cannot tell whether it is right"
		if missing := perhapsMissing(p.Database(), up.User); missing != "" {
			step.Advice += "; " + missing
		}
		p.Tell(step)
		return nil
	}
	engine.TellFailed(p, err)
	return err
}

// tellServer tells of the server's version, which HELLO answers with, and whether it is a cluster as the URI says.
func tellServer(ctx context.Context, p *session.Probe, b *backend, place resource.RedisURI) error {
	values, err := b.ask(ctx, []string{"HELLO", "2"})
	if err != nil {
		p.Tell(cred.Failure(session.StepServer, err))
		return err
	}
	hello := &values[0]
	version, ok := hello.Find("version")
	if hello.IsError() || !ok {
		p.Tell(cred.Passing(session.StepServer, "the database does not tell its version"))
		return nil
	}
	step := cred.Passing(session.StepServer, "version %q", version.Text)
	if mode, ok := hello.Find("mode"); ok && mode.Type == resp.Bulk && (mode.Text == "cluster") != place.Cluster {
		step.Result, step.Advice = cred.Doubtful, "it says its mode is "+mode.Text+"; write rediss://"+place.Address+"?mode=cluster into the uri if it is a cluster, and leave that out if it is none"
	}
	p.Tell(step)
	return nil
}
