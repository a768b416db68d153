package dataplane

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Documents is what makes a DocumentDB out of FerretDB. Logins, and what a cluster says of itself, are the front's matter;
// everything else FerretDB answers. Every account may do everything.
type Documents struct {
	// AWS is asked who has signed a login.
	AWS http.Handler
	// Program is FerretDB, as scripts/ferretdb builds it.
	Program string
	// Master is the user with a password.
	Master, Password string
	// Version of the engine; default 5.0.0. Older ones know no accounts that are roles.
	Version string
}

// documents is the front of one DocumentDB.
type documents struct {
	config Config
	socket string // of FerretDB

	mu       sync.Mutex
	accounts map[string]bool // ARNs in $external; guarded by mu
}

const external = "$external"

// startDocumentDB starts FerretDB and its fronts. Of Setup, each line is the ARN of a role that has an account.
func (p *Plane) startDocumentDB(ctx context.Context, config Config) error {
	dir, err := os.MkdirTemp("/tmp", "fakeaws-docdb-") // a short path, because those of sockets have at most 107 bytes
	if err != nil {
		return err
	}
	p.cleanup = append(p.cleanup, func() { _ = os.RemoveAll(dir) }) // what is left in /tmp does no harm
	if config.Documents.Version == "" {
		config.Documents.Version = "5.0.0"
	}
	d := &documents{config: config, socket: filepath.Join(dir, "s"), accounts: map[string]bool{}}
	for line := range strings.Lines(config.Setup) {
		d.accounts[strings.TrimSpace(line)] = true
	}
	ready := func() bool {
		conn, err := d.dial(ctx)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}
	server := new(process)
	p.cleanup = append([]func(){server.end}, p.cleanup...)
	if err := server.run(ctx, program{name: "FerretDB", args: []string{config.Documents.Program, "-listen=", "-dir=" + dir}, signal: "INT", answers: ready}); err != nil {
		return err
	}
	for _, endpoint := range config.Endpoints {
		if err := p.listen(ctx, endpoint, func(ctx context.Context, client net.Conn) { d.serve(ctx, endpoint, client) }); err != nil {
			return err
		}
	}
	return nil
}

func (d *documents) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", d.socket)
}

// visit is one connection of a client.
type visit struct {
	*documents
	endpoint Endpoint
	client   net.Conn
	account  string     // that has logged in; "" before
	login    secondStep // under way
}

// secondStep goes on with a login: it is given the second payload.
type secondStep func(payload []byte) (account string, answer []byte, err error)

func (d *documents) serve(ctx context.Context, endpoint Endpoint, client net.Conn) {
	if d.config.Certificate != nil {
		client = tls.Server(client, &tls.Config{Certificates: []tls.Certificate{*d.config.Certificate}})
	}
	server, err := d.dial(ctx)
	if err != nil {
		return // the client sees that the connection ends, as when a server is down
	}
	defer server.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(client, server) // an error is an end like any other
		_ = client.Close()
	}()
	v := &visit{documents: d, endpoint: endpoint, client: client}
	_ = v.run(server) // how it ended is the client's matter
	_ = server.Close()
	<-done
}

func (v *visit) run(server net.Conn) error {
	for {
		m, err := readMongo(v.client)
		if err != nil {
			return err
		}
		answer := v.answer(m)
		if answer == nil {
			if _, err := server.Write(m.raw); err != nil {
				return err
			}
			continue
		}
		message, err := m.answer(answer)
		if err != nil {
			return err
		}
		if _, err := v.client.Write(message); err != nil {
			return err
		}
	}
}

// answer answers what is not for FerretDB; nil for what is.
func (v *visit) answer(m mongoMessage) bson.D {
	name := m.name()
	switch name {
	case "isMaster", "ismaster", "hello":
		return v.hello(m)
	case "saslStart":
		return v.start(m)
	case "saslContinue":
		return v.goOn(m)
	case "buildInfo", "buildinfo":
		return bson.D{{Key: "version", Value: v.config.Documents.Version}, {Key: "ok", Value: 1.0}}
	}
	switch {
	case v.account == "":
		return mongoRefusal(13, "Unauthorized", fmt.Sprintf("command %s requires authentication", name))
	case name == "connectionStatus":
		return v.status()
	case name == "createUser" && m.text("$db") == external:
		return v.create(m)
	case name == "dropUser" && m.text("$db") == external:
		return v.drop(m)
	}
	return nil
}

// old reports whether this is a version that knows no accounts that are roles.
func (d *documents) old() bool { return d.config.Documents.Version < "5" }

// hello says what the cluster is: a member of the replica set that all of them are called.
func (v *visit) hello(m mongoMessage) bson.D {
	name := m.name()
	if m.text("$db") == external {
		return mongoRefusal(73, "InvalidNamespace", fmt.Sprintf("Command %s not supported on %s database.", name, external))
	}
	leader := "ismaster"
	if name == "hello" {
		leader = "isWritablePrimary"
	}
	wire := int32(13) // of MongoDB 5.0
	if v.old() {
		wire = 7 // of 4.0
	}
	d := bson.D{
		{Key: leader, Value: true}, {Key: "helloOk", Value: true}, {Key: "maxBsonObjectSize", Value: int32(16 << 20)},
		{Key: "maxMessageSizeBytes", Value: int32(longestCommand)}, {Key: "maxWriteBatchSize", Value: int32(100_000)},
		{Key: "localTime", Value: bson.NewDateTimeFromTime(time.Now())}, {Key: "logicalSessionTimeoutMinutes", Value: int32(30)},
		{Key: "minWireVersion", Value: int32(0)}, {Key: "maxWireVersion", Value: wire}, {Key: "readOnly", Value: false},
		{Key: "setName", Value: "rs0"}, {Key: "setVersion", Value: int32(1)}, {Key: "hosts", Value: bson.A{v.endpoint.Host}},
		{Key: "primary", Value: v.endpoint.Host}, {Key: "me", Value: v.endpoint.Host},
	}
	if m.text("saslSupportedMechs") != "" {
		d = append(d, bson.E{Key: "saslSupportedMechs", Value: bson.A{scramSHA1}})
	}
	return append(d, bson.E{Key: "ok", Value: 1.0})
}

func (v *visit) status() bson.D {
	db := external
	if v.account == v.config.Documents.Master {
		db = "admin"
	}
	who := bson.D{{Key: "user", Value: v.account}, {Key: "db", Value: db}}
	return bson.D{{Key: "authInfo", Value: bson.D{{Key: "authenticatedUsers", Value: bson.A{who}}, {Key: "authenticatedUserRoles", Value: bson.A{}}}}, {Key: "ok", Value: 1.0}}
}

// create makes an account of a role or a user of IAM.
func (v *visit) create(m mongoMessage) bson.D {
	account := m.text("createUser")
	mechanisms, _ := m.body.Lookup("mechanisms").ArrayOK()
	values, err := mechanisms.Values()
	one := ""
	if err == nil && len(values) == 1 {
		one, _ = values[0].StringValueOK()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.old() || one != mongoAWS:
		return mongoRefusal(2, "BadValue", "users of "+external+" need mechanisms: [\""+mongoAWS+"\"]")
	case !strings.HasPrefix(account, "arn:aws") || !strings.Contains(account, ":iam::"):
		return mongoRefusal(2, "BadValue", fmt.Sprintf("%q is not the ARN of a user or a role", account))
	case v.accounts[account]:
		return mongoRefusal(51003, "Location51003", fmt.Sprintf("User \"%s@%s\" already exists", account, external))
	}
	v.accounts[account] = true
	return bson.D{{Key: "ok", Value: 1.0}}
}

func (v *visit) drop(m mongoMessage) bson.D {
	v.mu.Lock()
	defer v.mu.Unlock()
	account := m.text("dropUser")
	if !v.accounts[account] {
		return mongoRefusal(11, "UserNotFound", fmt.Sprintf("User '%s@%s' not found", account, external))
	}
	delete(v.accounts, account)
	return bson.D{{Key: "ok", Value: 1.0}}
}

func (d *documents) known(account string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.accounts[account]
}
