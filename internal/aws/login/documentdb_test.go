package login_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/login"
	"sallyport/internal/aws/roots"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb"
	"sallyport/internal/engine/mongodb/mongotest"
	"sallyport/internal/mongowire"
	"sallyport/internal/resource"
)

const documents = "docs.cluster-abcdefghijkl.us-west-1.docdb.amazonaws.com:27017"

// documentDB logs clients in as DocumentDB does: it has the local AWS say who has signed the request with its nonce in it,
// and lets the roles in that have an account.
type documentDB struct {
	cloud    *cloudtest.Cloud
	accounts []string
	host     string
	nonce    []byte
	spoil    func(nonce []byte) []byte // what it says its nonce is; nil for the truth
}

var signedNonce = regexp.MustCompile(`SignedHeaders=[a-z0-9;-]*x-mongodb-gs2-cb-flag;x-mongodb-server-nonce,`)

var caller = regexp.MustCompile(`<Arn>arn:(aws[a-z-]*):sts::([0-9]+):assumed-role/([^/<]+)/[^<]*</Arn>`)

func (d *documentDB) handle(t *testing.T) func(*mongotest.Conn, mongotest.Message) bool {
	return func(c *mongotest.Conn, m mongotest.Message) bool {
		switch m.Name() {
		case "saslStart":
			_, payload := m.Body.Lookup("payload").Binary()
			_, theirs := bson.Raw(payload).Lookup("r").Binary()
			d.nonce = append(append([]byte(nil), theirs...), make([]byte, 32)...)
			_, _ = rand.Read(d.nonce[32:])
			shown := d.nonce
			if d.spoil != nil {
				shown = d.spoil(shown)
			}
			answer, err := bson.Marshal(bson.D{{Key: "s", Value: shown}, {Key: "h", Value: d.host}})
			if err != nil {
				t.Error(err)
			}
			c.Reply(m, bson.D{{Key: "conversationId", Value: 1}, {Key: "done", Value: false}, {Key: "payload", Value: answer}, {Key: "ok", Value: 1}})
		case "saslContinue":
			_, payload := m.Body.Lookup("payload").Binary()
			if role := d.judge(t, bson.Raw(payload)); role != "" {
				c.Welcome(role)
				c.Reply(m, bson.D{{Key: "conversationId", Value: 1}, {Key: "done", Value: true}, {Key: "payload", Value: []byte{}}, {Key: "ok", Value: 1}})
			} else {
				c.Refuse(m, 18, "Authentication failed.")
			}
		default:
			return false
		}
		return true
	}
}

// judge returns the role that AWS takes a signed request for, if it has an account.
func (d *documentDB) judge(t *testing.T, proof bson.Raw) string {
	return d.judgeProof(t, proof.Lookup("a").StringValue(), proof.Lookup("d").StringValue(), proof.Lookup("t").StringValue())
}

func (d *documentDB) judgeProof(t *testing.T, authorization, date, token string) string {
	const body = "Action=GetCallerIdentity&Version=2011-06-15"
	// Without the nonce under the signature, the proof would be good for other databases too.
	if !signedNonce.MatchString(authorization) {
		t.Errorf("not signed: %s", authorization)
	}
	req, err := http.NewRequest(http.MethodPost, "https://"+d.host+"/", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return ""
	}
	for name, value := range map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Content-Length": "43", "X-MongoDB-GS2-CB-Flag": "n",
		"X-MongoDB-Server-Nonce": base64.StdEncoding.EncodeToString(d.nonce),
		"Authorization":          authorization, "X-Amz-Date": date, "X-Amz-Security-Token": token,
	} {
		req.Header.Set(name, value)
	}
	res, err := d.cloud.Do(req)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	found := caller.FindStringSubmatch(string(text))
	if found == nil {
		t.Logf("AWS says %s: %s", res.Status, text)
		return ""
	}
	for _, account := range d.accounts {
		if account == "arn:"+found[1]+":iam::"+found[2]+":role/"+found[3] {
			return account
		}
	}
	return ""
}

// TestDocumentDB has a driver reach a cluster through the engine, with roles of the databases' account as accounts.
func TestDocumentDB(t *testing.T) {
	c := cloudtest.New(t, nil, cloudtest.AllowAssume)
	role := databases(t, c, cloudtest.AllowAssume)
	c.Role(t, cloudtest.DatabaseAccount, "reader", cloudtest.Trust(role, ""))
	c.Role(t, cloudtest.DatabaseAccount, "nobody", cloudtest.Trust(role, ""))
	c.Role(t, cloudtest.DatabaseAccount, "closed", cloudtest.Trust("arn:aws:iam::333333333333:root", ""))
	const reader = "arn:aws:iam::222222222222:role/reader"
	judge := &documentDB{cloud: c, accounts: []string{reader}, host: "sts.us-west-1.amazonaws.com"}
	server := mongotest.StartOpen(t, mongotest.Options{Any: judge.handle(t)})
	db := database(t, "mongodb://"+documents+"/?replicaSet=rs0&retryWrites=false", func(a *resource.AWS) {
		a.AssumeRoleARN, a.ExternalID, a.DocumentDB.ClusterID = role, "right", "docs"
	}, resource.ProtocolMongoDB)
	db.Spec.TLS.ServerName = "localhost" // the name in the small server's certificate
	source := login.New(login.Config{Credentials: c.Provider(), Now: time.Now,
		Roots: roots.New(roots.Config{Dir: t.TempDir(), Client: &http.Client{Transport: bundles{server.Authority.CertPEM()}}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})})
	agent := enginetest.Start(t, enginetest.Config{
		Engine: mongodb.New(mongodb.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler)}), Database: db, Credentials: source,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != documents {
				t.Errorf("dialled %s", address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, server.Addr)
		},
	})
	ping := func(account string) error {
		agent.Expect(account, "shop")
		client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + agent.Addr() + "/?directConnection=true&retryWrites=false").SetServerSelectionTimeout(enginetest.Patience))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Disconnect(context.Background())
		return client.Ping(t.Context(), nil)
	}
	for _, account := range []string{"reader", "role/reader", reader} {
		if err := ping(account); err != nil {
			t.Errorf("%s: %v", account, err)
		}
	}
	// A driver would try again for as long as it waits, where that may help.
	refusal := func(account string) (text string, code int64) {
		agent.Expect(account, "shop")
		conn, err := net.Dial("tcp", agent.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(enginetest.Patience))
		said := func(command string) mongotest.Message {
			var body mongowire.Builder
			if _, err := conn.Write(mongowire.AppendMsg(nil, 7, 0, 0, body.Int32(command, 1).Text("$db", "admin").Build())); err != nil {
				t.Fatal(err)
			}
			m, err := mongotest.Read(conn)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		m := said("hello")
		if ok, _ := m.Body.Lookup("ok").AsInt64OK(); ok == 1 { // a refusal for good is told behind it
			m = said("ping")
		}
		text, _ = m.Body.Lookup("errmsg").StringValueOK()
		code, _ = m.Body.Lookup("code").AsInt64OK()
		return text, code
	}
	for account, want := range map[string]struct {
		code  int64
		texts []string
	}{
		"nobody":                                {18, []string{`unable to authenticate using mechanism "MONGODB-AWS": Authentication failed.`, `createUser: "arn:aws:iam::222222222222:role/nobody"`, "the clock of the agent"}},
		"closed":                                {6, []string{"is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::222222222222:role/closed", "trust policy of arn:aws:iam::222222222222:role/closed"}},
		"absent":                                {6, []string{"sts:AssumeRole on resource: arn:aws:iam::222222222222:role/absent"}},
		"arn:aws:iam::333333333333:role/reader": {6, []string{"is not of account 222222222222"}},
	} {
		text, code := refusal(account)
		for _, part := range want.texts {
			if !strings.Contains(text, part) || code != want.code {
				t.Errorf("%s: %d %q lacks %q", account, code, text, part)
			}
		}
	}
	for name, change := range map[string]func(){
		"a host that is not of AWS": func() { judge.host = "sts.us-west-1.example.com" },
		"a host with a path":        func() { judge.host = "sts.amazonaws.com/x?" },
		"a host with a line":        func() { judge.host = "sts.amazonaws.com\nx" },
		"a nonce that is short":     func() { judge.host, judge.spoil = "sts.amazonaws.com", func(n []byte) []byte { return n[:40] } },
		"a nonce of somebody else":  func() { judge.spoil = func(n []byte) []byte { return append(make([]byte, 32), n[32:]...) } },
	} {
		judge.host, judge.spoil = "sts.us-west-1.amazonaws.com", nil
		change()
		if text, _ := refusal("reader"); !strings.Contains(text, "no host of AWS STS") && !strings.Contains(text, "does not follow the MongoDB protocol") {
			t.Errorf("%s: %q", name, text)
		}
	}
	judge.host, judge.spoil = "sts.amazonaws.com", nil
	if err := ping("reader"); err != nil {
		t.Errorf("the global host: %v", err)
	}
	for _, v := range agent.Visits() {
		v.End(context.Canceled)
		_ = v.Wait(t)
		for _, line := range v.Journal.Lines() {
			for _, secret := range c.Secrets() {
				if strings.Contains(string(line), secret) {
					t.Errorf("an event tells a secret: %s", line)
				}
			}
		}
	}
}
