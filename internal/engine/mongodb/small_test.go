package mongodb_test

import (
	"crypto/tls"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/ca"
	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb/mongotest"
	"sallyport/internal/mongowire"
)

// ordersOnly is a role that lets its user use one database, as one account.
const ordersOnly = `{allow: {db_labels: {'*': '*'}, db_users: [app], db_names: [orders]}}`

// small starts an agent before a small server, whose clients come for the account app and the database orders.
func small(t testing.TB, options mongotest.Options, change ...func(*enginetest.Config)) (*enginetest.Agent, *mongotest.Server) {
	t.Helper()
	server := mongotest.Start(t, options)
	return before(t, server, change...), server
}

func before(t testing.TB, server *mongotest.Server, change ...func(*enginetest.Config)) *enginetest.Agent {
	t.Helper()
	return startAgent(t, server.Addr, server.Authority, server.ClientCertificate, change)
}

// startAgent starts an agent before the server at the address, whose clients come for the account app and the database
// orders.
func startAgent(t testing.TB, address string, authority *ca.Authority, certificate func(testing.TB, string) *tls.Certificate, change []func(*enginetest.Config)) *enginetest.Agent {
	t.Helper()
	cfg := enginetest.Config{
		Engine:   newEngine(),
		Database: enginetest.NewDatabase(t, "mongodb", address, authority.CertPEM()),
		Credentials: enginetest.Certificates(func(account string) (*cred.Credential, error) {
			return &cred.Credential{User: account, Certificate: certificate(t, account)}, nil
		}),
	}
	for _, change := range change {
		change(&cfg)
	}
	agent := enginetest.Start(t, cfg)
	agent.Expect("app", "orders")
	return agent
}

// logIn returns a client that has said hello.
func logIn(t testing.TB, agent *enginetest.Agent) *rawClient {
	t.Helper()
	c := connectRaw(t, agent)
	if _, err := c.run(patience(t), hello()); err != nil {
		t.Fatal(err)
	}
	return c
}

func connectRaw(t testing.TB, agent *enginetest.Agent) *rawClient {
	t.Helper()
	c, err := dial(patience(t), agent.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.conn.Close() })
	return c
}

func hello(more ...bson.E) bson.D {
	return append(append(bson.D{{Key: "hello", Value: 1}}, more...), bson.E{Key: "$db", Value: "admin"})
}

// in returns a command for a database.
func in(database string, fields ...bson.E) bson.D { return append(bson.D(fields), e("$db", database)) }

func e(key string, value any) bson.E { return bson.E{Key: key, Value: value} }

func d(fields ...bson.E) bson.D { return append(bson.D{}, fields...) }

func marshal(t testing.TB, v any) mongowire.Document {
	t.Helper()
	b, err := bson.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sequence returns a section of kind 1.
func sequence(t testing.TB, name string, documents ...any) []byte {
	t.Helper()
	b := append([]byte(name), 0)
	for _, v := range documents {
		b = append(b, marshal(t, v)...)
	}
	n := len(b) + 4
	return append([]byte{1, byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}, b...)
}

// message returns an OP_MSG of a body and further sections.
func message(t testing.TB, id int32, flags uint32, body any, sections ...[]byte) []byte {
	t.Helper()
	b := mongowire.AppendMsg(nil, id, 0, flags, marshal(t, body))
	for _, s := range sections {
		b = append(b, s...)
	}
	for i := range 4 {
		b[i] = byte(len(b) >> (8 * i))
	}
	return b
}
