package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/session"
)

const checkName = "sallyport-check"

// Check implements engine.Checker.
func (e *Engine) Check(ctx context.Context, p *session.Probe) error {
	up, err := p.Open(ctx, "")
	switch {
	case up == nil:
		return err
	case err != nil:
		return errors.Join(err, e.tryTLS(ctx, p, up))
	}
	h := &hello{want: session.Want{Name: p.DatabaseName()}, collation: common.collation, attributes: []mysqlwire.Attribute{{Name: "program_name", Value: checkName}}}
	b, err := e.logIn(ctx, up, p.Database(), h)
	if err != nil {
		engine.TellFailed(p, err)
		return err
	}
	as := fmt.Sprintf("as %q", up.User)
	if at := strings.LastIndexByte(b.account, '@'); at >= 0 && b.account[:at] != up.User {
		as += fmt.Sprintf(", for whom the database acts as %.200q", b.account)
	}
	if p.DatabaseName() != "" {
		as += fmt.Sprintf(" to database %q", p.DatabaseName())
	}
	p.Tell(cred.Passing(session.StepLogin, "%s", as))
	p.Tell(cred.Passing(session.StepServer, "version %.100q", versionOf(b.version)))
	_ = b.conn.SetWriteDeadline(time.Now().Add(goodbyeTime))
	_, _ = b.conn.Write([]byte{1, 0, 0, 0, byte(mysqlwire.ComQuit)}) // the database will notice anyhow
	return nil
}

// versionOf returns the version of a server as it would tell in SQL. MariaDB puts "5.5.5-" before its own in the greeting, so
// that old replicas take it for MySQL ("Connection: Initial Handshake Packet" of its documentation).
func versionOf(greeted string) string {
	if own, ok := strings.CutPrefix(greeted, "5.5.5-"); ok && own != "" && own[0] >= '0' && own[0] <= '9' {
		return own
	}
	return greeted
}

// tryTLS finds out whether the database's certificate would do, when there is no credential to go on with.
func (e *Engine) tryTLS(ctx context.Context, p *session.Probe, up *session.Upstream) error {
	ctx, cancel := context.WithTimeout(ctx, engine.LoginTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = up.Conn.SetDeadline(time.Unix(1, 0)) })()
	g, err := readGreeting(up.Conn, p.Database().InAWS())
	if err == nil {
		_, err = up.Conn.Write(mysqlwire.AppendPacket(nil, 1, answerTo(g, up, &hello{}).AppendTLSRequest(nil)))
	}
	if err != nil {
		err = explainLogin(up, p.DatabaseName(), err)
		p.Tell(cred.Failure(session.StepTLS, err))
		return err
	}
	_, err = up.StartTLS(ctx)
	return err
}
