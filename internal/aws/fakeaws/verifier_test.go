package fakeaws_test

import (
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/sigv4"
)

const ordersHost = "orders.cluster-abcdef012345.us-west-1.rds.amazonaws.com:5432"

// recipe is a token before it is signed.
type recipe struct {
	service, region, host, query string
	slash                        bool // host/?…
	at                           time.Time
}

// mint signs with the SDK, as the product does.
func (r recipe) mint(t *testing.T, keys fakeaws.Keys) string {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, "https://"+r.host+"/?"+r.query, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.SessionToken},
		request, sigv4.EmptyHash, r.service, r.region, r.at)
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimPrefix(signed, "https://")
	if !r.slash {
		token = strings.Replace(token, "/?", "?", 1)
	}
	return token
}

// dataPlane is a cloud with one server of each sort and a role that may connect to them as alice.
func dataPlane(t *testing.T, now *clock) (*cloud, *fakeaws.Role) {
	c := newCloud(t, fakeaws.Config{Now: now.Now})
	agent := addRole(t, c.account, "agent", trusting(agentTrust),
		allowing(`"rds-db:connect"`, "arn:aws:rds-db:us-west-1:111111111111:dbuser:cluster-ABC/alice"),
		allowing(`"elasticache:Connect"`, "arn:aws:elasticache:us-west-1:111111111111:replicationgroup:cache"),
		allowing(`"elasticache:Connect"`, "arn:aws:elasticache:us-west-1:111111111111:serverlesscache:less"),
		allowing(`"elasticache:Connect"`, "arn:aws:elasticache:us-west-1:111111111111:user:alice"),
		allowing(`"memorydb:Connect"`, "arn:aws:memorydb:us-west-1:111111111111:cluster/mem"),
		allowing(`"memorydb:Connect"`, "arn:aws:memorydb:us-west-1:111111111111:user/*"))
	users := map[string]string{"alice": "alice", "bob": "bob", "carol": "carol-id"}
	for _, target := range []fakeaws.Target{
		{Service: fakeaws.RDSConnect, Host: ordersHost, ResourceID: "cluster-ABC"},
		{Service: fakeaws.RDSConnect, Host: "member.abcdef012345.us-west-1.rds.amazonaws.com:5432", ResourceID: "db-DEF"},
		{Service: fakeaws.RDSConnect, Host: "off.abcdef012345.us-west-1.rds.amazonaws.com:5432", ResourceID: "cluster-ABC", IAMOff: true},
		{Service: fakeaws.ElastiCacheConnect, Host: "cache", ResourceID: "cache", Users: users},
		{Service: fakeaws.ElastiCacheConnect, Host: "less", ResourceID: "less", Users: users, Serverless: true},
		{Service: fakeaws.MemoryDBConnect, Host: "mem", ResourceID: "mem", Users: users},
	} {
		target.Account, target.Region = c.account, "us-west-1"
		c.AddTarget(target)
	}
	return c, agent
}

func TestTokens(t *testing.T) {
	now := &clock{}
	c, agent := dataPlane(t, now)
	keys := agent.Session("i-1", time.Hour)
	stranger := addRole(t, c.Account("aws", "222222222222"), "agent", trusting(agentTrust), everything)
	rds := recipe{service: "rds-db", region: "us-west-1", host: ordersHost, query: "Action=connect&DBUser=alice&X-Amz-Expires=900"}
	redis := recipe{service: "elasticache", region: "us-west-1", host: "cache", query: "Action=connect&User=alice&X-Amz-Expires=900", slash: true}
	memory := recipe{service: "memorydb", region: "us-west-1", host: "mem", query: "Action=connect&User=alice&X-Amz-Expires=900", slash: true}
	with := func(r recipe, change func(*recipe)) recipe { change(&r); return r }
	for _, one := range []struct {
		rule   string
		recipe recipe
		host   string // of the server; default: the token's
		server string // service of the server; default: the token's
		user   string // default alice
		keys   *fakeaws.Keys
		age    time.Duration
		mangle func(string) string
		reason string // "" means allowed
	}{
		{rule: "a good token of RDS", recipe: rds},
		{rule: "with a slash before the query", recipe: with(rds, func(r *recipe) { r.slash = true })},
		{rule: "signed for an alias", recipe: with(rds, func(r *recipe) { r.host = "db.example.com:5432" }), host: ordersHost, reason: "signed for"},
		{rule: "signed without the port", recipe: with(rds, func(r *recipe) { r.host = strings.TrimSuffix(ordersHost, ":5432") }), host: ordersHost, reason: "signed for"},
		{rule: "signed for a member instead of the cluster", recipe: with(rds, func(r *recipe) { r.host = "member.abcdef012345.us-west-1.rds.amazonaws.com:5432" }), host: ordersHost, reason: "signed for"},
		{rule: "signed for another service", recipe: with(rds, func(r *recipe) { r.service = "rds" }), server: "rds-db", reason: "service"},
		{rule: "signed for another region", recipe: with(rds, func(r *recipe) { r.region = "us-west-2" }), reason: "region"},
		{rule: "no X-Amz-Expires", recipe: with(rds, func(r *recipe) { r.query = "Action=connect&DBUser=alice" }), reason: "no X-Amz-Expires"},
		{rule: "X-Amz-Expires of an hour", recipe: with(rds, func(r *recipe) { r.query = "Action=connect&DBUser=alice&X-Amz-Expires=3600" }), reason: "wants to be good"},
		{rule: "another action", recipe: with(rds, func(r *recipe) { r.query = "Action=Connect&DBUser=alice&X-Amz-Expires=900" }), reason: "parameter Action"},
		{rule: "an unknown parameter", recipe: with(rds, func(r *recipe) { r.query += "&DBName=x" }), reason: "no meaning"},
		{rule: "a parameter twice", recipe: with(rds, func(r *recipe) { r.query += "&DBUser=alice" }), reason: "twice"},
		{rule: "for another user than the login's", recipe: rds, user: "bob", reason: "DBUser"},
		{rule: "a user without permission", recipe: with(rds, func(r *recipe) { r.query = strings.Replace(r.query, "alice", "bob", 1) }), user: "bob",
			reason: "not authorized to perform: rds-db:connect on resource: arn:aws:rds-db:us-west-1:111111111111:dbuser:cluster-ABC/bob"},
		{rule: "permission on the cluster is none on the member", recipe: with(rds, func(r *recipe) { r.host = "member.abcdef012345.us-west-1.rds.amazonaws.com:5432" }), reason: "dbuser:db-DEF/alice"},
		{rule: "IAM authentication is off", recipe: with(rds, func(r *recipe) { r.host = "off.abcdef012345.us-west-1.rds.amazonaws.com:5432" }), reason: "not switched on"},
		{rule: "14 minutes old", recipe: rds, age: 14 * time.Minute},
		{rule: "15 minutes old", recipe: rds, age: 15*time.Minute + time.Second, reason: "expired"},
		{rule: "signed in the future", recipe: rds, age: -6 * time.Minute, reason: "future"},
		{rule: "changed after signing", recipe: rds, user: "mallory", mangle: func(s string) string { return strings.Replace(s, "alice", "mallory", 1) }, reason: "does not match"},
		{rule: "without its security token", recipe: rds, mangle: func(s string) string {
			before, after, _ := strings.Cut(s, "X-Amz-Security-Token=")
			_, rest, _ := strings.Cut(after, "&")
			return before + rest
		}, reason: "security token"},
		{rule: "cut off at 511 bytes", recipe: rds, mangle: func(s string) string { return strings.TrimRight(s[:511], "%0123456789ABCDEF") }, reason: "no "},
		{rule: "a password", recipe: rds, mangle: func(string) string { return "secret" }, reason: "no query"},
		{rule: "of another account", recipe: rds, keys: new(stranger.Session("i-1", time.Hour)), reason: "another account"},
		{rule: "of expired credentials", recipe: rds, keys: new(agent.Session("i-2", -time.Second)), reason: "credentials"},
		{rule: "a good token of ElastiCache", recipe: redis},
		{rule: "ElastiCache: a user without permission", recipe: with(redis, func(r *recipe) { r.query = strings.Replace(r.query, "alice", "bob", 1) }), user: "bob", reason: "user:bob"},
		{rule: "ElastiCache: name and id differ", recipe: with(redis, func(r *recipe) { r.query = strings.Replace(r.query, "alice", "carol", 1) }), user: "carol", reason: "differ"},
		{rule: "ElastiCache: no such user", recipe: with(redis, func(r *recipe) { r.query = strings.Replace(r.query, "alice", "dave", 1) }), user: "dave", reason: "does not exist"},
		{rule: "ElastiCache: serverless parameter for a group", recipe: with(redis, func(r *recipe) { r.query += "&ResourceType=ServerlessCache" }), reason: "no meaning"},
		{rule: "ElastiCache Serverless", recipe: with(redis, func(r *recipe) { r.host, r.query = "less", r.query+"&ResourceType=ServerlessCache" })},
		{rule: "ElastiCache Serverless without its parameter", recipe: with(redis, func(r *recipe) { r.host = "less" }), reason: "ResourceType"},
		{rule: "a good token of MemoryDB", recipe: memory},
		{rule: "MemoryDB: a token of ElastiCache", recipe: with(memory, func(r *recipe) { r.service = "elasticache" }), server: "memorydb", reason: "service"},
	} {
		t.Run(one.rule, func(t *testing.T) {
			one.recipe.at = now.Now().Add(-one.age)
			signer := keys
			if one.keys != nil {
				signer = *one.keys
			}
			token := one.recipe.mint(t, signer)
			if one.mangle != nil {
				token = one.mangle(token)
			}
			login := fakeaws.Login{Service: one.recipe.service, Host: one.host, User: one.user, Token: token}
			if one.server != "" {
				login.Service = one.server
			}
			if login.Host == "" {
				login.Host = one.recipe.host
			}
			if login.User == "" {
				login.User = "alice"
			}
			verdict := c.Verify(login)
			if verdict.Allow != (one.reason == "") || !strings.Contains(verdict.Reason, one.reason) {
				t.Errorf("got %+v", verdict)
			}
		})
	}
}

func TestVerifierSocket(t *testing.T) {
	now := &clock{}
	c, agent := dataPlane(t, now)
	path := filepath.Join(t.TempDir(), "verifier")
	ctx, cancel := context.WithCancel(t.Context())
	verifier, err := c.ListenVerifier(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- verifier.Serve(ctx) }()
	token := recipe{service: "rds-db", region: "us-west-1", host: ordersHost, query: "Action=connect&DBUser=alice&X-Amz-Expires=900", at: now.Now()}.mint(t, agent.Session("i-1", time.Hour))
	if len(token) < 1000 {
		t.Errorf("a token with a session's token is longer than %d bytes", len(token))
	}
	verdict, err := fakeaws.AskVerifier(ctx, path, fakeaws.Login{Service: "rds-db", Host: ordersHost, User: "alice", Token: token})
	if err != nil || !verdict.Allow || verdict.Principal != "arn:aws:sts::111111111111:assumed-role/agent/i-1" {
		t.Errorf("got %+v, %v", verdict, err)
	}
	verdict, err = fakeaws.AskVerifier(ctx, path, fakeaws.Login{Service: "rds-db", Host: ordersHost, User: "bob", Token: token})
	if err != nil || verdict.Allow {
		t.Errorf("bob: got %+v, %v", verdict, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// judge has botocore recompute the signature of tokens, given as lines SECRET TOKEN.
const judge = `
import sys, urllib.parse
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
for line in sys.stdin:
    secret, token = line.split()
    url = urllib.parse.urlsplit('https://' + token)
    pairs = urllib.parse.parse_qsl(url.query, keep_blank_values=True)
    values = dict(pairs)
    key, day, region, service, _ = values['X-Amz-Credential'].split('/')
    auth = SigV4QueryAuth(Credentials(key, secret), service, region)
    rest = urllib.parse.urlencode([p for p in pairs if p[0] != 'X-Amz-Signature'], quote_via=urllib.parse.quote)
    request = AWSRequest(method='GET', url='https://' + url.netloc + '/?' + rest)
    request.context['timestamp'] = values['X-Amz-Date']
    auth.payload = lambda request: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    print('good' if signature == values['X-Amz-Signature'] else 'bad')
`

func TestBotocoreJudgesTheSame(t *testing.T) {
	now := &clock{}
	c, agent := dataPlane(t, now)
	keys := agent.Session("i-1", time.Hour)
	var lines, want []string
	for _, change := range []string{"", "X-Amz-Expires=90", "DBUser=bob"} {
		token := recipe{service: "rds-db", region: "us-west-1", host: ordersHost, query: "Action=connect&DBUser=alice&X-Amz-Expires=900", at: now.Now()}.mint(t, keys)
		switch change {
		case "X-Amz-Expires=90":
			token = strings.Replace(token, "X-Amz-Expires=900", change, 1)
		case "DBUser=bob":
			token = strings.Replace(token, "DBUser=alice", change, 1)
		}
		user := map[bool]string{true: "bob", false: "alice"}[change == "DBUser=bob"]
		verdict := c.Verify(fakeaws.Login{Service: "rds-db", Host: ordersHost, User: user, Token: token})
		want = append(want, map[bool]string{true: "good", false: "bad"}[verdict.Allow])
		lines = append(lines, keys.SecretAccessKey+" "+token)
	}
	if strings.Join(want, " ") != "good bad bad" {
		t.Fatalf("the verifier says %v", want)
	}
	out := python(t, judge, strings.Join(lines, "\n"))
	if got := strings.Fields(out); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("botocore says %v, the verifier %v", got, want)
	}
}

func TestTokensMintedByBotocoreAreAccepted(t *testing.T) {
	now := &clock{}
	c, agent := dataPlane(t, now)
	keys := agent.Session("i-1", time.Hour)
	out := python(t, `
import sys, botocore.session
from botocore.model import ServiceId
from botocore.signers import RequestSigner
key, secret, token = sys.stdin.read().split()
session = botocore.session.get_session()
session.set_credentials(key, secret, token)
rds = session.create_client('rds', region_name='us-west-1')
print(rds.generate_db_auth_token('orders.cluster-abcdef012345.us-west-1.rds.amazonaws.com', 5432, 'alice'))
for service, host in ('elasticache', 'cache'), ('memorydb', 'mem'):
    signer = RequestSigner(ServiceId(service), 'us-west-1', service, 'v4', session.get_credentials(), session.get_component('event_emitter'))
    url = signer.generate_presigned_url({'method': 'GET', 'url': 'https://%s/?Action=connect&User=alice' % host, 'body': {}, 'headers': {}, 'context': {}},
        operation_name='connect', expires_in=900, region_name='us-west-1')
    print(url[len('https://'):])
`, keys.AccessKeyID+" "+keys.SecretAccessKey+" "+keys.SessionToken)
	tokens := strings.Fields(out)
	if len(tokens) != 3 {
		t.Fatalf("got %q", out)
	}
	for i, login := range []fakeaws.Login{{Service: "rds-db", Host: ordersHost}, {Service: "elasticache", Host: "cache"}, {Service: "memorydb", Host: "mem"}} {
		login.User, login.Token = "alice", tokens[i]
		if verdict := c.Verify(login); !verdict.Allow {
			t.Errorf("%s: %+v", login.Service, verdict)
		}
	}
}

// python runs a script with Debian's interpreter, which has botocore.
func python(t *testing.T, script, stdin string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", script)
	command.Env = []string{"HOME=" + t.TempDir(), "AWS_EC2_METADATA_DISABLED=true"}
	command.Stdin = strings.NewReader(stdin)
	out, err := command.Output()
	if err != nil {
		if failed, ok := err.(*exec.ExitError); ok {
			t.Fatalf("%v: %s", err, failed.Stderr)
		}
		t.Fatal(err)
	}
	return string(out)
}
