package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// Names of databases that every server has.
const (
	everyPostgres = "postgres"
	everyRedshift = "dev"
)

const checkName = "sallyport-check"

// Check implements engine.Checker.
func (e *Engine) Check(ctx context.Context, p *session.Probe) error {
	otherwise := everyPostgres
	switch p.Database().Type() {
	case resource.TypeRedshift, resource.TypeRedshiftServerless:
		otherwise = everyRedshift
	}
	up, err := p.Open(ctx, otherwise)
	switch {
	case up == nil:
		return err
	case err != nil:
		return errors.Join(err, tryTLS(ctx, p, up))
	}
	b, err := logIn(ctx, up, &startup{want: session.Want{Name: p.DatabaseName()}, settings: []setting{{"application_name", checkName}}})
	if err != nil {
		engine.TellFailed(p, err)
		return err
	}
	p.Tell(cred.Passing(session.StepLogin, "as %q to database %q", up.User, p.DatabaseName()))
	p.Tell(cred.Passing(session.StepServer, "%s", serverVersion(b.reports)))
	if goodbye, err := (&pgproto3.Terminate{}).Encode(nil); err == nil {
		_ = b.conn.SetWriteDeadline(time.Now().Add(goodbyeTime))
		_, _ = b.conn.Write(goodbye) // the database will notice anyhow
	}
	return nil
}

// tryTLS finds out whether the database's certificate would do, when there is no credential to go on with.
func tryTLS(ctx context.Context, p *session.Probe, up *session.Upstream) error {
	ctx, cancel := context.WithTimeout(ctx, engine.LoginTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = up.Conn.SetDeadline(time.Unix(1, 0)) })()
	if err := requestTLS(up); err != nil {
		err = explainLogin(up, err)
		p.Tell(cred.Failure(session.StepTLS, err))
		return err
	}
	_, err := up.StartTLS(ctx)
	return err
}

// serverVersion finds the version among the settings that the database reported.
func serverVersion(reports []byte) string {
	for len(reports) >= headerSize {
		size := int(binary.BigEndian.Uint32(reports[1:])) + headerSize - lengthSize
		if size < headerSize || size > len(reports) {
			break
		}
		if reports[0] == beParameterStatus {
			name, rest, _ := cutString(reports[headerSize:size])
			value, _, _ := cutString(rest)
			if string(name) == "server_version" {
				return fmt.Sprintf("version %q", value)
			}
		}
		reports = reports[size:]
	}
	return "the database does not tell its version"
}
