package dataplane_test

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/dataplane"
	"sallyport/internal/aws/fakeaws/fakeawstest"
)

const documents = "docs.cluster-abcdefghijkl.us-west-1.docdb.amazonaws.com"

// ferretDB builds what is behind a DocumentDB.
func ferretDB(t *testing.T) string {
	t.Helper()
	build := exec.Command("../../../../scripts/ferretdb")
	build.Stderr = os.Stderr
	out, err := build.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func startDocumentDB(t *testing.T, c *fakeawstest.Cloud, config dataplane.Documents, accounts ...string) string {
	t.Helper()
	config.AWS, config.Program = c, ferretDB(t)
	plane, err := dataplane.Start(t.Context(), dataplane.Config{
		Kind: dataplane.DocumentDB, Judge: c.Verify, Documents: config, Setup: strings.Join(accounts, "\n"),
		Endpoints:   []dataplane.Endpoint{{Host: documents + ":27017", Listen: "127.0.0.1:0"}},
		Certificate: certificate(t, c, fakeaws.Names{DNSNames: []string{documents}}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plane.Stop)
	return plane.Addresses()[0]
}

type dialer func() (net.Conn, error)

func (d dialer) DialContext(context.Context, string, string) (net.Conn, error) { return d() }

// documentClient is a driver that logs in.
func documentClient(t *testing.T, c *fakeawstest.Cloud, address string, as options.Credential) *mongo.Client {
	t.Helper()
	client, err := mongo.Connect(options.Client().SetHosts([]string{documents}).SetDirect(true).SetAuth(as).SetRetryWrites(false).
		SetServerSelectionTimeout(20 * time.Second).SetTLSConfig(&tls.Config{RootCAs: c.Authority().Pool(), ServerName: documents}).
		SetDialer(dialer(func() (net.Conn, error) { return net.Dial("tcp", address) })))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	return client
}

func who(t *testing.T, client *mongo.Client) (string, error) {
	t.Helper()
	answer, err := client.Database("shop").RunCommand(t.Context(), bson.D{{Key: "connectionStatus", Value: 1}}).Raw()
	if err != nil {
		return "", err
	}
	return answer.Lookup("authInfo", "authenticatedUsers", "0", "user").StringValue(), nil
}

func iam(keys fakeaws.Keys) options.Credential {
	return options.Credential{AuthMechanism: "MONGODB-AWS", AuthSource: "$external", Username: keys.AccessKeyID, Password: keys.SecretAccessKey,
		AuthMechanismProperties: map[string]string{"AWS_SESSION_TOKEN": keys.SessionToken}}
}

// TestDocumentDB has MongoDB's own driver log in as the master, which makes an account, and as roles of IAM.
func TestDocumentDB(t *testing.T) {
	t.Parallel()
	c := fakeawstest.New(t)
	const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	roles := map[string]*fakeaws.Role{}
	for _, name := range []string{"reader", "nobody"} {
		role, err := c.Account.AddRole(fakeaws.Role{Name: name, Trust: trust})
		if err != nil {
			t.Fatal(err)
		}
		roles[name] = role
	}
	address := startDocumentDB(t, c, dataplane.Documents{Master: "administrator", Password: "of the master"})
	master := documentClient(t, c, address, options.Credential{Username: "administrator", Password: "of the master"})
	reader := roles["reader"].Session("s", time.Hour)
	if _, err := who(t, documentClient(t, c, address, iam(reader))); err == nil || !strings.Contains(err.Error(), "Authentication failed") {
		t.Errorf("a role without an account: %v", err)
	}
	create := func(account string, mechanisms ...any) error {
		return master.Database("$external").RunCommand(t.Context(), bson.D{{Key: "createUser", Value: account}, {Key: "mechanisms", Value: bson.A(mechanisms)}, {Key: "roles", Value: bson.A{}}}).Err()
	}
	for account, mechanism := range map[string]string{"reader": "MONGODB-AWS", roles["reader"].ARN(): "SCRAM-SHA-1"} {
		if err := create(account, mechanism); err == nil {
			t.Errorf("an account %s with %s", account, mechanism)
		}
	}
	if err := create(roles["reader"].ARN(), "MONGODB-AWS"); err != nil {
		t.Fatal(err)
	}
	client := documentClient(t, c, address, iam(reader))
	if got, err := who(t, client); err != nil || got != roles["reader"].ARN() {
		t.Errorf("the role is %q, %v", got, err)
	}
	if _, err := client.Database("shop").Collection("orders").InsertOne(t.Context(), bson.D{{Key: "_id", Value: 1}}); err != nil {
		t.Error(err)
	}
	if n, err := master.Database("shop").Collection("orders").CountDocuments(t.Context(), bson.D{}); err != nil || n != 1 {
		t.Errorf("the master sees %d documents, %v", n, err)
	}
	forged := reader
	forged.SecretAccessKey += "x"
	for rule, as := range map[string]options.Credential{
		"a wrong secret":           iam(forged),
		"a role without account":   iam(roles["nobody"].Session("s", time.Hour)),
		"a wrong password":         {Username: "administrator", Password: "another"},
		"another user":             {Username: "root", Password: "of the master"},
		"a mechanism it lacks":     {Username: "administrator", Password: "of the master", AuthMechanism: "SCRAM-SHA-256"},
		"an expired session token": iam(roles["reader"].Session("s", -time.Minute)),
	} {
		if _, err := who(t, documentClient(t, c, address, as)); err == nil {
			t.Errorf("%s was let in", rule)
		}
	}
	if err := master.Database("$external").RunCommand(t.Context(), bson.D{{Key: "dropUser", Value: roles["reader"].ARN()}}).Err(); err != nil {
		t.Error(err)
	}
	if _, err := who(t, documentClient(t, c, address, iam(reader))); err == nil {
		t.Error("an account that is dropped was let in")
	}
}

// TestOldDocumentDB has a cluster that knows no roles. The driver of today does not talk to it.
func TestOldDocumentDB(t *testing.T) {
	t.Parallel()
	c := fakeawstest.New(t)
	address := startDocumentDB(t, c, dataplane.Documents{Version: "4.0.0"})
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: c.Authority().Pool(), ServerName: documents})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	body, err := bson.Marshal(bson.D{{Key: "saslStart", Value: 1}, {Key: "mechanism", Value: "MONGODB-AWS"}, {Key: "payload", Value: []byte{}}, {Key: "$db", Value: "$external"}})
	if err != nil {
		t.Fatal(err)
	}
	message := []byte{byte(21 + len(body)), 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0xdd, 7, 0, 0, 0, 0, 0, 0, 0} // an OP_MSG
	if _, err := conn.Write(append(message, body...)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1<<10)
	n, err := conn.Read(answer)
	if err != nil || !strings.Contains(string(answer[:n]), "Unsupported mechanism [ -301 ]") {
		t.Errorf("got %q, %v", answer[:n], err)
	}
}
