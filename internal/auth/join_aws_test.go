package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/auth"
	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/aws/awsjoin"
	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/hostproof"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
)

// awsWorld is an authority that asks a local AWS, and a host in AWS.
type awsWorld struct {
	*world
	cloud     *cloudtest.Cloud
	network   error  // why STS cannot be reached
	instances stub   // what EC2 says
	identity  []byte // the host's document
	host      *fakeaws.Instance
}

// stub answers in the place of EC2.
type stub struct {
	stopped bool
	err     error
	asked   []string
}

func (s *stub) Running(_ context.Context, region, role, instance string) (bool, error) {
	s.asked = append(s.asked, region+" "+role+" "+instance)
	return !s.stopped, s.err
}

// RoundTrip implements http.RoundTripper.
func (w *awsWorld) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.network != nil {
		return nil, w.network
	}
	return w.cloud.RoundTrip(r)
}

func newAWSWorld(t *testing.T) *awsWorld {
	t.Helper()
	w := &awsWorld{cloud: cloudtest.New(t, nil)}
	dir := t.TempDir()
	certificate, err := w.cloud.IdentityCertificate()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "us-west-1.pem"), certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	w.world = newWorld(t, func(cfg *auth.Config) {
		cfg.AWS = auth.AWS{STS: awsjoin.NewSTS(w), Certificates: awsjoin.Certificates(dir), Instances: &w.instances}
	})
	w.launch()
	w.mustApply(`kind: token
version: v2
metadata: {name: iam}
spec: {roles: [Db], join_method: iam, allow: [{aws_account: "999999999999"}, {aws_account: "111111111111", aws_arn: "arn:aws:sts::111111111111:assumed-role/agent/*"}]}
---
kind: token
version: v2
metadata: {name: ec2}
spec: {roles: [Db], join_method: ec2, allow: [{aws_account: "999999999999"}, {aws_account: "111111111111", aws_regions: [us-west-1], aws_role: "arn:aws:iam::111111111111:role/watcher"}]}
`)
	return w
}

// launch starts an instance at the time of the authority.
func (w *awsWorld) launch() {
	w.t.Helper()
	w.host = w.cloud.AddInstance(&fakeaws.Instance{Account: w.cloud.Account("aws", cloudtest.AgentAccount), Launched: w.clock.Now()})
	out := httptest.NewRecorder()
	w.host.ServeHTTP(out, httptest.NewRequest(http.MethodGet, "/latest/dynamic/instance-identity/rsa2048", nil))
	w.identity = out.Body.Bytes()
}

func (w *awsWorld) request(token, host string) *sallyportv1.JoinRequest {
	w.t.Helper()
	_, public, err := ca.GenerateKeyPair()
	if err != nil {
		w.t.Fatal(err)
	}
	return &sallyportv1.JoinRequest{Token: token, HostId: host, NodeName: "n", Roles: []string{"Db"}, PublicKey: public}
}

func (w *awsWorld) challenge() []byte {
	w.t.Helper()
	res, err := w.as(nil).Join.GetJoinChallenge(w.t.Context(), &sallyportv1.GetJoinChallengeRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	return res.GetChallenge()
}

// prove adds the proof of the environment's credentials.
func (w *awsWorld) prove(req *sallyportv1.JoinRequest, challenge []byte) *sallyportv1.JoinRequest {
	w.t.Helper()
	maker := hostproof.Maker{Credentials: w.cloud.Provider(), Now: time.Now}
	signed, err := maker.IAM(w.t.Context(), awsjoin.Binding(challenge, awsjoin.Application{
		Token: req.GetToken(), HostID: req.GetHostId(), NodeName: req.GetNodeName(), Roles: req.GetRoles(), PublicKey: req.GetPublicKey(),
	}))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Proof = &sallyportv1.JoinRequest_Iam{Iam: &sallyportv1.IamProof{
		Challenge: challenge, Host: signed.Host, Authorization: signed.Authorization, Date: signed.Date, SecurityToken: signed.SecurityToken}}
	return req
}

func (w *awsWorld) ask(api *authapi.Client, req *sallyportv1.JoinRequest) (*sallyportv1.JoinResponse, error) {
	return api.Join.Join(w.t.Context(), req)
}

func (w *awsWorld) joinIAM(token, host string) (*sallyportv1.JoinResponse, error) {
	return w.ask(w.as(nil), w.prove(w.request(token, host), w.challenge()))
}

func (w *awsWorld) joinEC2(token string) (*sallyportv1.JoinResponse, error) {
	req := w.request(token, uuid.NewString())
	req.Proof = &sallyportv1.JoinRequest_Ec2{Ec2: &sallyportv1.Ec2Proof{Identity: w.identity}}
	return w.ask(w.as(nil), req)
}

// become puts the credentials of a role's session into the environment.
func (w *awsWorld) become(role *fakeaws.Role, session string) {
	keys := role.Session(session, time.Hour)
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY": keys.SecretAccessKey, "AWS_SESSION_TOKEN": keys.SessionToken} {
		w.t.Setenv(name, value)
	}
}

// refused expects a refusal whose reason is in the audit log and not in the answer.
func (w *awsWorld) refused(what string, err error, why string) {
	w.t.Helper()
	if !fault.Is(err, fault.AccessDenied) || !strings.Contains(err.Error(), "was not let in with its identity in AWS") || strings.Contains(err.Error(), why) {
		w.t.Errorf("%s: %v", what, err)
	}
	if w.events("instance.join", `"code":"TJ002E"`, why) == 0 {
		w.t.Errorf("%s: %q is not in the log", what, why)
	}
}

func TestHostsJoinWithTheirIdentityInIAM(t *testing.T) {
	w := newAWSWorld(t)
	host := uuid.NewString()
	res, err := w.joinIAM("iam", host)
	if err != nil {
		t.Fatal(err)
	}
	if id := certificate(t, res.GetIdentity().GetCertificate()); id.Name != host || !id.HasSystemRole("Db") || id.JoinToken == "" {
		t.Errorf("identity is %+v", id)
	}
	if w.events("instance.join", `"code":"TJ002I"`, `"method":"iam"`, `"token_name":"iam"`, `"account":"111111111111"`, `"arn":"arn:aws:sts::111111111111:assumed-role/agent/i-1"`) != 1 {
		t.Error("the join is not recorded with who it was")
	}
	if w.events("join_token.create", `"name":"iam"`) != 1 {
		t.Error("the name of the token is masked, which is no secret")
	}
	tokens, err := w.admin.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: "token"})
	if err != nil || len(tokens.GetResources()) != 2 || len(tokens.GetResources()[0].GetName()) != 3 || strings.Contains(tokens.GetResources()[0].GetName(), "*") {
		t.Errorf("tokens are shown as %v: %v", tokens.GetResources(), err)
	}
	w.mustApply("kind: lock\nversion: v2\nmetadata: {name: x}\nspec: {target: {join_token: iam}}\n")
	_, err = w.joinIAM("iam", uuid.NewString())
	w.refused("a locked token", err, "lock targeting")
}

func TestProofsOfIAMAreGoodOnceForOneHost(t *testing.T) {
	w := newAWSWorld(t)
	used := w.prove(w.request("iam", uuid.NewString()), w.challenge())
	if _, err := w.ask(w.as(nil), used); err != nil {
		t.Fatal(err)
	}
	late := w.prove(w.request("iam", uuid.NewString()), w.challenge())
	for name, one := range map[string]struct {
		req *sallyportv1.JoinRequest
		why string
	}{
		"a second time":            {used, "the challenge was not given out, is used"},
		"a challenge of one's own": {w.prove(w.request("iam", uuid.NewString()), make([]byte, 32)), "the challenge was not given out"},
		"a short challenge":        {w.prove(w.request("iam", uuid.NewString()), w.challenge()[:31]), "the challenge was not given out"},
		"no challenge":             {w.prove(w.request("iam", uuid.NewString()), nil), "the challenge was not given out"},
		"with another key": {func() *sallyportv1.JoinRequest {
			req := w.prove(w.request("iam", uuid.NewString()), w.challenge())
			req.PublicKey = w.request("", "").GetPublicKey()
			return req
		}(), "SignatureDoesNotMatch"},
		"with another host id": {func() *sallyportv1.JoinRequest {
			req := w.prove(w.request("iam", uuid.NewString()), w.challenge())
			req.HostId = uuid.NewString()
			return req
		}(), "SignatureDoesNotMatch"},
		"with the challenge of another": {func() *sallyportv1.JoinRequest {
			req := w.prove(w.request("iam", uuid.NewString()), w.challenge())
			req.GetIam().Challenge = w.challenge()
			return req
		}(), "SignatureDoesNotMatch"},
	} {
		_, err := w.ask(w.as(nil), one.req)
		w.refused(name, err, one.why)
	}
	w.clock.Advance(time.Minute)
	_, err := w.ask(w.as(nil), late)
	w.refused("too late", err, "has expired")
}

func TestAChallengeIsUsedUpByAJoinThatFails(t *testing.T) {
	w := newAWSWorld(t)
	challenge := w.challenge()
	_, err := w.ask(w.as(nil), w.prove(w.request("none", uuid.NewString()), challenge))
	w.refused("no such token", err, "token does not exist")
	_, err = w.ask(w.as(nil), w.prove(w.request("iam", uuid.NewString()), challenge))
	w.refused("again", err, "is used")
}

func TestRulesSayWhoJoinsWithIAM(t *testing.T) {
	w := newAWSWorld(t)
	w.mustApply(`kind: token
version: v2
metadata: {name: elsewhere}
spec: {roles: [Db], join_method: iam, allow: [{aws_account: "222222222222"}]}
---
kind: token
version: v2
metadata: {name: proxies}
spec: {roles: [Proxy], join_method: iam, allow: [{aws_account: "111111111111"}]}
---
kind: token
version: v2
metadata: {name: once}
spec: {roles: [Db], join_method: iam, uses_left: 1, allow: [{aws_account: "111111111111"}]}
---
kind: token
version: v2
metadata: {name: a-token-that-is-a-secret}
spec: {roles: [Db]}
`)
	for token, why := range map[string]string{
		"elsewhere": "no rule of the token allows the host", "proxies": "token does not grant Db", "none": "token does not exist",
		"ec2": "token is for the join method ec2", "a-token-that-is-a-secret": "token is for the join method token",
	} {
		_, err := w.joinIAM(token, uuid.NewString())
		w.refused(token, err, why)
	}
	if w.events("instance.join", "a-token-that-is-a-secret") != 0 {
		t.Error("a secret is in the log")
	}
	if calls := len(w.cloud.Calls("sts", "GetCallerIdentity")); calls != 1 {
		t.Errorf("STS was asked %d times, for tokens that let nobody in", calls)
	}
	if _, err := w.joinIAM("once", uuid.NewString()); err != nil {
		t.Errorf("once: %v", err)
	}
	_, err := w.joinIAM("once", uuid.NewString())
	w.refused("once", err, "token is used up")

	other := w.cloud.Role(t, cloudtest.AgentAccount, "agent2", cloudtest.Trust("arn:aws:iam::111111111111:root", ""))
	w.become(other, "i-1")
	_, err = w.joinIAM("iam", uuid.NewString())
	w.refused("another role", err, "no rule of the token allows the host")
	if w.events("instance.join", `"code":"TJ002E"`, "assumed-role/agent2/i-1") != 1 {
		t.Error("it is not recorded who was refused")
	}
}

// TestATokenOfAnotherMethodIsNotASecret keeps those who know its name out.
func TestATokenOfAnotherMethodIsNotASecret(t *testing.T) {
	w := newAWSWorld(t)
	for _, token := range []string{"iam", "ec2"} {
		_, err := w.join(token, uuid.NewString(), "Db")
		wantKind(t, err, fault.AccessDenied, "the join token was not accepted")
	}
}

func TestAHostIDStaysWithItsRole(t *testing.T) {
	w := newAWSWorld(t)
	w.mustApply("kind: token\nversion: v2\nmetadata: {name: account}\nspec: {roles: [Db], join_method: iam, allow: [{aws_account: '111111111111'}]}\n")
	host := uuid.NewString()
	if _, err := w.joinIAM("account", host); err != nil {
		t.Fatal(err)
	}
	_, err := w.joinIAM("account", host)
	wantKind(t, err, fault.LimitExceeded, "within the last minute")
	w.clock.Advance(time.Minute)
	w.become(w.cloud.Agent, "i-2")
	if _, err := w.joinIAM("account", host); err != nil {
		t.Errorf("another session of the role: %v", err)
	}
	w.clock.Advance(time.Minute)
	w.become(w.cloud.Role(t, cloudtest.AgentAccount, "other", cloudtest.Trust("arn:aws:iam::111111111111:root", "")), "i-2")
	_, err = w.joinIAM("account", host)
	w.refused("another role", err, "host id is taken by another identity in AWS")
}

func TestSTSThatDoesNotAnswerIsNoRefusal(t *testing.T) {
	w := newAWSWorld(t)
	w.network = errors.New("the network is down")
	_, err := w.joinIAM("iam", uuid.NewString())
	wantKind(t, err, fault.ConnectionProblem, "cannot ask AWS")
	if w.events("instance.join", `"code":"TJ002E"`, "the network is down") != 1 {
		t.Error("not recorded")
	}
	w.network = nil
	if _, err := w.joinIAM("iam", uuid.NewString()); err != nil {
		t.Errorf("later: %v", err)
	}
}

func TestInstancesJoinWithTheirDocument(t *testing.T) {
	w := newAWSWorld(t)
	res, err := w.joinEC2("ec2")
	if err != nil {
		t.Fatal(err)
	}
	host := cloudtest.AgentAccount + "-" + w.host.ID
	if id := certificate(t, res.GetIdentity().GetCertificate()); id.Name != host || !id.HasSystemRole("Db") {
		t.Errorf("identity is %+v", id)
	}
	if w.events("instance.join", `"code":"TJ002I"`, `"method":"ec2"`, `"token_name":"ec2"`, `"host_id":"`+host+`"`, `"instance_id":"`+w.host.ID+`"`, `"region":"us-west-1"`) != 1 {
		t.Error("the join is not recorded with who it was")
	}
	if want := "us-west-1 arn:aws:iam::111111111111:role/watcher " + w.host.ID; len(w.instances.asked) != 1 || w.instances.asked[0] != want {
		t.Errorf("EC2 was asked %q", w.instances.asked)
	}
}

func TestAnInstanceJoinsOnce(t *testing.T) {
	w := newAWSWorld(t)
	res, err := w.joinEC2("ec2")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.joinEC2("ec2")
	wantKind(t, err, fault.LimitExceeded, "within the last minute")
	host := certificate(t, res.GetIdentity().GetCertificate())
	if _, err := w.as(host).Cluster.WhoAmI(t.Context(), &sallyportv1.WhoAmIRequest{}); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(30 * time.Second)
	_, err = w.joinEC2("ec2")
	wantKind(t, err, fault.AccessDenied, "belongs to a host that runs")
	w.clock.Advance(2 * time.Minute)
	if _, err := w.joinEC2("ec2"); err != nil {
		t.Errorf("after the host is gone: %v", err)
	}
	if _, err := w.ask(w.as(nil), w.request("ec2", host.Name)); !fault.Is(err, fault.BadParameter) {
		t.Errorf("the id of an instance without its document: %v", err)
	}
	req := w.request("ec2", uuid.NewString())
	req.Proof = &sallyportv1.JoinRequest_Ec2{Ec2: &sallyportv1.Ec2Proof{Identity: w.identity}}
	w.clock.Advance(10 * time.Minute)
	host.Expires = w.clock.Now().Add(time.Hour)
	if _, err := w.ask(w.as(host), req); err != nil {
		t.Errorf("a host that shows its certificate too, for another service: %v", err)
	}
}

func TestDocumentsThatLetNobodyIn(t *testing.T) {
	w := newAWSWorld(t)
	w.mustApply(`kind: token
version: v2
metadata: {name: elsewhere}
spec: {roles: [Db], join_method: ec2, allow: [{aws_account: "111111111111", aws_regions: [us-west-2]}]}
---
kind: token
version: v2
metadata: {name: others}
spec: {roles: [Db], join_method: ec2, allow: [{aws_account: "222222222222"}]}
---
kind: token
version: v2
metadata: {name: proxies}
spec: {roles: [Proxy], join_method: ec2, allow: [{aws_account: "111111111111"}]}
`)
	for token, why := range map[string]string{
		"elsewhere": "no rule of the token allows the host", "others": "no rule of the token allows the host", "none": "token does not exist",
		"iam": "token is for the join method iam", "proxies": "token does not grant Db",
	} {
		_, err := w.joinEC2(token)
		w.refused(token, err, why)
	}
	w.instances.stopped = true
	_, err := w.joinEC2("ec2")
	w.refused("stopped", err, "EC2 knows no such instance that runs")
	w.instances.err = errors.New("UnauthorizedOperation")
	_, err = w.joinEC2("ec2")
	wantKind(t, err, fault.ConnectionProblem, "cannot ask AWS")
	w.instances = stub{}

	w.identity = []byte("forged")
	_, err = w.joinEC2("ec2")
	w.refused("forged", err, "is not base64")
	w.launch()
	w.clock.Advance(5*time.Minute + time.Second)
	_, err = w.joinEC2("ec2")
	w.refused("old", err, "may join for 5m0s")
	w.launch()
	w.clock.Advance(-2 * time.Minute)
	_, err = w.joinEC2("ec2")
	w.refused("from the future", err, "may join for 5m0s")
}

func TestAnAuthThatAsksNoAWSLetsNobodyIn(t *testing.T) {
	w := newAWSWorld(t)
	w.world = newWorld(t)
	w.mustApply("kind: token\nversion: v2\nmetadata: {name: iam}\nspec: {roles: [Db], join_method: iam, allow: [{aws_account: '111111111111'}]}\n")
	w.mustApply("kind: token\nversion: v2\nmetadata: {name: ec2}\nspec: {roles: [Db], join_method: ec2, allow: [{aws_account: '111111111111'}]}\n")
	_, err := w.joinIAM("iam", uuid.NewString())
	w.refused("iam", err, "does not ask STS")
	_, err = w.joinEC2("ec2")
	w.refused("ec2", err, "does not ask EC2")
}

func TestChallengesAreLimited(t *testing.T) {
	w := newAWSWorld(t)
	one, other := w.challenge(), w.challenge()
	if len(one) != awsjoin.ChallengeSize || string(one) == string(other) {
		t.Errorf("challenges %x and %x", one, other)
	}
	var err error
	for range 100 {
		if _, err = w.as(nil).Join.GetJoinChallenge(t.Context(), &sallyportv1.GetJoinChallengeRequest{}); err != nil {
			break
		}
	}
	wantKind(t, err, fault.LimitExceeded, "too many attempts")
}
