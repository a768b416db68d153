package login_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/login"
	"sallyport/internal/aws/roots"
	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb"
	"sallyport/internal/engine/mongodb/mongotest"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// hangingUp is a server that speaks no TLS.
func hangingUp(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() { // ends with the listener
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(conn, make([]byte, 1))
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

// TestChecksOfDocumentDB walks the way to clusters, and reads each step, what it says, and what to do next.
func TestChecksOfDocumentDB(t *testing.T) {
	const reader = "arn:aws:iam::222222222222:role/reader"
	// old is a cluster of before 5.0, whatever it says of a login.
	old := func(code int32, text string) mongotest.Options {
		return mongotest.Options{
			Hello: func(d bson.D) bson.D {
				return append(bson.D{{Key: "ismaster", Value: true}, {Key: "maxWireVersion", Value: 7}}, bson.E{Key: "ok", Value: 1})
			},
			Any: func(c *mongotest.Conn, m mongotest.Message) bool {
				if m.Name() == "saslStart" {
					c.Refuse(m, code, text)
				}
				return m.Name() == "saslStart"
			},
		}
	}
	up := []string{"name ok", "connection ok", "authorities ok", "AWS credentials ok: the caller as arn:aws:sts::111111111111:assumed-role/agent/i-1",
		"role ok: assumed arn:aws:iam::222222222222:role/databases with the external id|the caller as arn:aws:sts::222222222222:assumed-role/databases/sallyport-host"}
	signed := append(up[:5:5], "role ok: assumed "+reader+", valid until|assumed-role/reader/admin", `identity ok: AWS will be asked by the database who "`+reader+`" is`)
	for _, test := range []struct {
		name, account string
		policies      []string // of the agent's role
		server        mongotest.Options
		plain         bool // it speaks no TLS
		steps         []string
	}{
		{"all is well", "reader", []string{cloudtest.AllowAssume}, mongotest.Options{}, false,
			append(signed[:7:7], "TLS doubt", `login ok: as "`+reader+`"`, `server ok: version "5.0.0"`)},
		{"the whole ARN", reader, []string{cloudtest.AllowAssume}, mongotest.Options{}, false,
			append(signed[:7:7], "TLS doubt", `login ok: as "`+reader+`"`, "server ok")},
		{"a role without a user", "nobody", []string{cloudtest.AllowAssume}, mongotest.Options{}, false,
			append(up[:5:5], "role ok", "identity ok", "TLS doubt", `login failed: unable to authenticate using mechanism "MONGODB-AWS": Authentication failed.|runCommand({createUser: "arn:aws:iam::222222222222:role/nobody", mechanisms: ["MONGODB-AWS"]|the clock of the agent`)},
		{"a role that does not trust", "closed", []string{cloudtest.AllowAssume}, mongotest.Options{}, false,
			append(up[:5:5], "role failed: sts:AssumeRole on resource: arn:aws:iam::222222222222:role/closed|trust policy of arn:aws:iam::222222222222:role/closed|hop 2", "TLS doubt")},
		{"no permission to assume roles", "reader", nil, mongotest.Options{}, false,
			append(up[:4:4], "role failed: AccessDenied|the permissions policy of arn:aws:sts::111111111111:assumed-role/agent/i-1 does not allow it|hop 1", "TLS doubt")},
		{"a role of another account", "arn:aws:iam::333333333333:role/reader", []string{cloudtest.AllowAssume}, mongotest.Options{}, false,
			append(up[:5:5], "database user failed: is not of account 222222222222", "TLS doubt")},
		{"a cluster of before 5.0", "reader", []string{cloudtest.AllowAssume}, old(18, "Unsupported mechanism [ -301 ]"), false,
			append(signed[:7:7], "TLS doubt", "login failed: Unsupported mechanism [ -301 ]|DocumentDB takes roles from version 5.0 on|version 7 of the protocol")},
		{"one that only says no", "reader", []string{cloudtest.AllowAssume}, old(18, "Authentication failed."), false,
			append(signed[:7:7], "TLS doubt", "login failed: DocumentDB takes roles from version 5.0 on")},
		{"TLS switched off", "reader", []string{cloudtest.AllowAssume}, mongotest.Options{}, true,
			append(signed[:7:7], "TLS failed: TLS is switched off in the cluster's parameter group (set tls to enabled there")},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := cloudtest.New(t, nil, test.policies...)
			role := databases(t, c, cloudtest.AllowAssume)
			for name, trust := range map[string]string{"reader": role, "nobody": role, "closed": "arn:aws:iam::333333333333:root"} {
				c.Role(t, cloudtest.DatabaseAccount, name, cloudtest.Trust(trust, ""))
			}
			options := test.server
			if options.Any == nil {
				options.Any = (&documentDB{cloud: c, accounts: []string{reader}, host: "sts.us-west-1.amazonaws.com"}).handle(t)
			}
			options.Command = func(conn *mongotest.Conn, m mongotest.Message) bool {
				if m.Name() == "buildInfo" {
					conn.Reply(m, bson.D{{Key: "version", Value: "5.0.0"}, {Key: "ok", Value: 1}})
				}
				return m.Name() == "buildInfo"
			}
			server := mongotest.StartOpen(t, options)
			address := server.Addr
			if test.plain {
				address = hangingUp(t)
			}
			db := database(t, documents, func(a *resource.AWS) {
				a.AssumeRoleARN, a.ExternalID, a.DocumentDB.ClusterID = role, "right", "docs"
			}, resource.ProtocolMongoDB)
			db.Spec.TLS.ServerName = "localhost"
			source := login.New(login.Config{Credentials: c.Provider(), Now: time.Now, Roots: roots.New(roots.Config{
				Dir: t.TempDir(), Client: &http.Client{Transport: bundles{server.Authority.CertPEM()}}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})})
			steps, err := enginetest.Probe(t, mongodb.New(mongodb.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler)}), db, test.account, cred.Dispatch{AWS: source}, func(cfg *session.ProbeConfig) {
				cfg.Request.User = "admin"
				cfg.Resolve = func(context.Context, string) ([]netip.Addr, error) {
					return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
				}
				cfg.Dial = func(ctx context.Context, network, to string) (net.Conn, error) {
					if to != documents {
						t.Errorf("dialled %s", to)
					}
					return (&net.Dialer{}).DialContext(ctx, network, address)
				}
			})
			wantSteps(t, c, steps, err, test.steps)
		})
	}
}

// TestDatabasesOfAnotherRegion are refused before AWS is asked: what is signed for one region is of no use in another.
func TestDatabasesOfAnotherRegion(t *testing.T) {
	db := unchecked(documents, func(a *resource.AWS) { a.Region, a.AccountID = "eu-central-1", cloudtest.DatabaseAccount }, resource.ProtocolMongoDB)
	if err := db.Validate(); err == nil || !strings.Contains(err.Error(), "us-west-1") {
		t.Errorf("got %v", err)
	}
}
