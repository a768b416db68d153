package enginetest

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// Probe checks a database as an administrator's check does, with what the source gives for the account, and returns what
// it told. Every name leads to this machine unless change says otherwise; change may be nil.
func Probe(t testing.TB, checker engine.Checker, db *resource.Database, account string, source cred.Source, change func(*session.ProbeConfig)) ([]cred.Step, error) {
	t.Helper()
	cfg := session.ProbeConfig{
		Request:     cred.Request{Database: db, User: "root", DatabaseUser: account, Check: "1"},
		Credentials: source, Dial: (&net.Dialer{}).DialContext, Now: time.Now,
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
	}
	if change != nil {
		change(&cfg)
	}
	p, err := session.NewProbe(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	err = checker.Check(t.Context(), p)
	return p.Steps(), err
}

// Outline writes steps as name=result, and all that was told of the last one.
func Outline(steps []cred.Step) (outline, last string) {
	var parts []string
	for _, step := range steps {
		parts = append(parts, step.Name+"="+[]string{"?", "ok", "doubt", "failed"}[step.Result])
		last = step.Detail + "; " + step.Advice
	}
	return strings.Join(parts, " "), last
}
