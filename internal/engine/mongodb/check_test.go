package mongodb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/ca"
	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb"
	"sallyport/internal/engine/mongodb/mongotest"
	"sallyport/internal/realserver"
)

var _ engine.Checker = (*mongodb.Engine)(nil)

// probe checks the server by an address, perhaps with another authority than its own, and returns the steps as name=result,
// and all that was told of the last one.
func probe(t *testing.T, s *mongotest.Server, uri string, authority *ca.Authority, lookup func(name string) ([]*net.SRV, error)) (outline, last string, err error) {
	t.Helper()
	db := enginetest.NewDatabase(t, "mongodb", s.Addr, authority.CertPEM())
	db.Spec.URI = uri
	source := enginetest.Certificates(func(account string) (*cred.Credential, error) {
		return &cred.Credential{User: account, Certificate: s.ClientCertificate(t, account)}, nil
	})
	engine := mongodb.New(mongodb.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		LookupSRV: func(_ context.Context, _, _, name string) (string, []*net.SRV, error) {
			found, err := lookup(name)
			return name, found, err
		},
		LookupTXT: func(context.Context, string) ([]string, error) { return nil, nil },
	})
	steps, err := enginetest.Probe(t, engine, db, "app", source, nil)
	outline, last = enginetest.Outline(steps)
	return outline, last, err
}

// TestCheck walks the way to servers of which each has something else, and reads where it ends and what to do then.
func TestCheck(t *testing.T) {
	t.Parallel()
	const reached = "name=ok connection=ok credential=ok "
	refuse := func(code int32, text string) func(*mongotest.Conn, mongotest.Message) bool {
		return func(c *mongotest.Conn, m mongotest.Message) bool { c.Refuse(m, code, text); return true }
	}
	version := mongotest.Options{Command: func(c *mongotest.Conn, m mongotest.Message) bool {
		if m.Name() == "buildInfo" {
			c.Reply(m, bson.D{{Key: "version", Value: "7.0.42"}, {Key: "ok", Value: 1}})
		}
		return m.Name() == "buildInfo"
	}}
	other := mongotest.Start(t, mongotest.Options{})
	nobody, err := realserver.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	closed := fmt.Sprint("127.0.0.1:", nobody)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plain.Close() })
	go func() { // ends with the listener
		for {
			conn, err := plain.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(conn, make([]byte, 1))
			_ = conn.Close()
		}
	}()
	for name, c := range map[string]struct {
		options   mongotest.Options
		uri       string // default the server's address
		authority *ca.Authority
		lookup    func(string) ([]*net.SRV, error)
		outline   string
		last      string
	}{
		"all is well":                {options: version, outline: reached + "TLS=doubt login=ok server=ok", last: `version "7.0.42"`},
		"a version that is not told": {outline: reached + "TLS=doubt login=ok server=ok", last: "does not tell its version"},
		"the first of several hosts": {options: version, uri: "mongodb://$ADDR,127.0.0.1:1/?replicaSet=rs0", outline: reached + "TLS=doubt login=failed", last: `is a member of replica set "", and not of "rs0"`},
		"an option of the uri":       {uri: "mongodb://$ADDR/?readPreference=any", outline: "name=failed", last: "it is one of primary"},
		"TLS off in the uri":         {uri: "mongodb://$ADDR/?tls=false", outline: "name=failed", last: "leave tls out"},
		"no SRV records": {uri: "mongodb+srv://cluster.example.com/", outline: "name=failed", last: "_mongodb._tcp.cluster.example.com",
			lookup: func(string) ([]*net.SRV, error) { return nil, errors.New("no such host") }},
		"SRV records that lead astray": {uri: "mongodb+srv://cluster.example.com/", outline: "name=failed", last: "which is in another domain",
			lookup: func(string) ([]*net.SRV, error) {
				return []*net.SRV{{Target: "cluster.example.org.", Port: 27017}}, nil
			}},
		"nobody listens":       {uri: closed, outline: "name=ok connection=failed credential=ok", last: ""},
		"no TLS":               {uri: plain.Addr().String(), outline: reached + "TLS=failed", last: "the TLS handshake with database"},
		"an unknown authority": {authority: other.Authority, outline: reached + "TLS=failed", last: "signed by an unknown authority"},
		"an account it lacks":  {options: mongotest.Options{Authenticate: refuse(18, "Authentication failed.")}, outline: reached + "TLS=doubt login=failed", last: `unable to authenticate using mechanism "MONGODB-X509": Authentication failed.; create the account: db.getSiblingDB("$external").createUser({user: "CN=app"`},
		"a mechanism it lacks": {options: mongotest.Options{Authenticate: refuse(2, "mechanism MONGODB-X509 is not enabled")}, outline: reached + "TLS=doubt login=failed", last: "let the server accept MONGODB-X509"},
		"another account": {options: mongotest.Options{Authenticate: func(c *mongotest.Conn, m mongotest.Message) bool {
			c.Reply(m, bson.D{{Key: "user", Value: "CN=root"}, {Key: "ok", Value: 1}})
			return true
		}}, outline: reached + "TLS=doubt login=failed", last: `for account "CN=root", and not for "app"`},
		"a version of long ago": {options: mongotest.Options{Hello: func(bson.D) bson.D {
			return bson.D{{Key: "ismaster", Value: true}, {Key: "maxWireVersion", Value: 5}, {Key: "ok", Value: 1}}
		}}, outline: reached + "TLS=doubt login=failed", last: "MongoDB 3.6"},
		"it hangs up":    {options: mongotest.Options{Any: func(c *mongotest.Conn, _ mongotest.Message) bool { _ = c.Close(); return true }}, outline: reached + "TLS=doubt login=failed", last: "its log tells why"},
		"something else": {options: mongotest.Options{Any: raw([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))}, outline: reached + "TLS=doubt login=failed", last: "check that its address leads to a MongoDB server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := mongotest.Start(t, c.options)
			uri := strings.ReplaceAll(c.uri, "$ADDR", server.Addr)
			if uri == "" {
				uri = server.Addr
			}
			authority := c.authority
			if authority == nil {
				authority = server.Authority
			}
			outline, last, err := probe(t, server, uri, authority, c.lookup)
			if outline != c.outline || (err != nil) != strings.Contains(outline, "failed") {
				t.Errorf("%s, %v", outline, err)
			}
			if !strings.Contains(last, c.last) {
				t.Errorf("the last step says %s", last)
			}
		})
	}
}
