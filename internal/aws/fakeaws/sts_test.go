package fakeaws_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"sallyport/internal/aws/fakeaws"
)

const (
	mayAssume  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],"Resource":"*"}]}`
	agentARN   = "arn:aws:iam::111111111111:role/agent"
	agentTrust = `{"Service":"ec2.amazonaws.com"}`
)

// assume calls AssumeRole and gives the keys, if any.
func assume(t *testing.T, client *sts.Client, in sts.AssumeRoleInput) (fakeaws.Keys, error) {
	t.Helper()
	if in.RoleSessionName == nil {
		in.RoleSessionName = aws.String("s1")
	}
	out, err := client.AssumeRole(t.Context(), &in)
	if err != nil {
		return fakeaws.Keys{}, err
	}
	return fakeaws.Keys{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey,
		SessionToken: *out.Credentials.SessionToken, Expires: *out.Credentials.Expiration}, nil
}

func TestAssumeRole(t *testing.T) {
	for _, c := range []struct {
		rule   string
		agent  []string // inline policies of the caller
		owner  string   // account of the target
		trust  string
		in     sts.AssumeRoleInput
		code   string // "" means that it works
		detail string // in the message
	}{
		{rule: "same account, trusted by name", trust: trusting(`{"AWS":"` + agentARN + `"}`)},
		{rule: "another account, both sides allow", owner: "222222222222", agent: []string{mayAssume}, trust: trusting(`{"AWS":"111111111111"}`)},
		{rule: "another account, caller may not", owner: "222222222222", trust: trusting(`{"AWS":"111111111111"}`), code: "AccessDenied",
			detail: "User: arn:aws:sts::111111111111:assumed-role/agent/i-1 is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::222222222222:role/target because no identity-based policy allows the sts:AssumeRole action"},
		{rule: "another account, not trusted: no reason is told", owner: "222222222222", agent: []string{mayAssume}, trust: trusting(`{"AWS":"333333333333"}`), code: "AccessDenied",
			detail: "is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::222222222222:role/target\n"},
		{rule: "same account, not trusted", agent: []string{mayAssume}, trust: trusting(`{"AWS":"333333333333"}`), code: "AccessDenied",
			detail: "on resource: arn:aws:iam::111111111111:role/target because no role trust policy allows the sts:AssumeRole action"},
		{rule: "the external id is right", trust: trusting(`{"AWS":"`+agentARN+`"}`, `"StringEquals":{"sts:ExternalId":"right"}`), in: sts.AssumeRoleInput{ExternalId: aws.String("right")}},
		{rule: "the external id is wrong", trust: trusting(`{"AWS":"`+agentARN+`"}`, `"StringEquals":{"sts:ExternalId":"right"}`), in: sts.AssumeRoleInput{ExternalId: aws.String("wrong")}, code: "AccessDenied"},
		{rule: "the external id is missing", trust: trusting(`{"AWS":"`+agentARN+`"}`, `"StringEquals":{"sts:ExternalId":"right"}`), code: "AccessDenied"},
		{rule: "an external id that nobody asked for is let pass", trust: trusting(`{"AWS":"` + agentARN + `"}`), in: sts.AssumeRoleInput{ExternalId: aws.String("extra")}},
		{rule: "the session's name is a condition", trust: trusting(`{"AWS":"`+agentARN+`"}`, `"StringLike":{"sts:RoleSessionName":"alice*"}`), code: "AccessDenied"},
		{rule: "tags need permission on both sides", trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + agentARN + `"},"Action":"sts:AssumeRole"}]}`,
			in: sts.AssumeRoleInput{Tags: []ststypes.Tag{{Key: aws.String("db"), Value: aws.String("orders")}}}, code: "AccessDenied", detail: "sts:TagSession"},
		{rule: "tags with permission", trust: trusting(`{"AWS":"`+agentARN+`"}`, `"StringEquals":{"aws:RequestTag/db":"orders"},"ForAllValues:StringEquals":{"aws:TagKeys":["db"]}`),
			in: sts.AssumeRoleInput{Tags: []ststypes.Tag{{Key: aws.String("db"), Value: aws.String("orders")}}}},
		{rule: "a session's name with a space", trust: trusting(`{"AWS":"` + agentARN + `"}`), in: sts.AssumeRoleInput{RoleSessionName: aws.String("a b")}, code: "ValidationError", detail: "roleSessionName"},
		{rule: "less than 15 minutes", trust: trusting(`{"AWS":"` + agentARN + `"}`), in: sts.AssumeRoleInput{DurationSeconds: aws.Int32(600)}, code: "ValidationError", detail: "greater than or equal to 900"},
		{rule: "a chained session of more than an hour", trust: trusting(`{"AWS":"` + agentARN + `"}`), in: sts.AssumeRoleInput{DurationSeconds: aws.Int32(3601)}, code: "ValidationError", detail: "role chaining"},
		{rule: "a session policy that is broken", trust: trusting(`{"AWS":"` + agentARN + `"}`), in: sts.AssumeRoleInput{Policy: aws.String("{}")}, code: "MalformedPolicyDocument"},
		{rule: "a role that does not exist", trust: trusting(`"*"`), agent: []string{mayAssume}, in: sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::111111111111:role/none")}, code: "AccessDenied"},
		{rule: "a role in another partition", trust: trusting(`"*"`), agent: []string{mayAssume}, in: sts.AssumeRoleInput{RoleArn: aws.String("arn:aws-cn:iam::111111111111:role/target")}, code: "AccessDenied"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			cloud := newCloud(t, fakeaws.Config{})
			agent := addRole(t, cloud.account, "agent", trusting(agentTrust), c.agent...)
			owner := cloud.account
			if c.owner != "" {
				owner = cloud.Account("aws", c.owner)
			}
			target := addRole(t, owner, "target", c.trust)
			if c.in.RoleArn == nil {
				c.in.RoleArn = aws.String(target.ARN())
			}
			keys, err := assume(t, cloud.sts(agent.Session("i-1", time.Hour)), c.in)
			if got := code(t, err); got != c.code {
				t.Fatalf("got %q: %v", got, err)
			}
			if err != nil {
				if !strings.Contains(err.Error()+"\n", c.detail) {
					t.Errorf("message %q lacks %q", err, c.detail)
				}
			} else if arn, err := whoAmI(t.Context(), cloud.sts(keys)); err != nil || arn != "arn:aws:sts::"+owner.ID+":assumed-role/target/s1" {
				t.Errorf("the new session is %q, %v", arn, err)
			}
			calls := cloud.Calls("sts", "AssumeRole")
			if len(calls) != 1 || calls[0].Error != c.code || calls[0].Notes["ExternalId"] != aws.ToString(c.in.ExternalId) {
				t.Errorf("journal: %+v", calls)
			}
		})
	}
}

func TestSessionsEndOnTime(t *testing.T) {
	now := &clock{}
	c := newCloud(t, fakeaws.Config{Now: now.Now})
	alice := addUser(t, c.account, "alice")
	addRole(t, c.account, "target", trusting(`{"AWS":"`+alice.ARN()+`"}`))
	keys, err := assume(t, c.sts(alice.CreateKeys()), sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::111111111111:role/target"), DurationSeconds: aws.Int32(900)})
	if err != nil {
		t.Fatal(err)
	}
	client := func() *sts.Client { // that signs by the world's clock
		config := c.config(keys)
		return sts.NewFromConfig(config)
	}
	if _, err := whoAmI(t.Context(), client()); err != nil {
		t.Errorf("at once: %v", err)
	}
	if left := keys.Expires.Sub(now.Now()); left > 15*time.Minute || left < 14*time.Minute {
		t.Errorf("expires in %v", left)
	}
	_, err = assume(t, c.sts(alice.CreateKeys()), sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::111111111111:role/target"), DurationSeconds: aws.Int32(7200)})
	if code(t, err) != "ValidationError" || !strings.Contains(err.Error(), "MaxSessionDuration") {
		t.Errorf("longer than the role allows: %v", err)
	}
}

func TestSessionPoliciesAndTagsLimitASession(t *testing.T) {
	c := newCloud(t, fakeaws.Config{})
	alice := addUser(t, c.account, "alice")
	// The role may read roles whose name is its session tag.
	target := addRole(t, c.account, "target", trusting(`{"AWS":"`+alice.ARN()+`"}`),
		allowing(`"iam:GetRole"`, "arn:aws:iam::111111111111:role/${aws:PrincipalTag/which}"))
	addRole(t, c.account, "one", trusting(agentTrust))
	addRole(t, c.account, "two", trusting(agentTrust))
	tags := []ststypes.Tag{{Key: aws.String("which"), Value: aws.String("one")}}
	for _, one := range []struct {
		rule, policy, role, want string
	}{
		{"the tag's role", "", "one", ""},
		{"another role", "", "two", "AccessDenied"},
		{"a session policy takes it away", allowing(`"iam:GetUser"`, "*"), "one", "AccessDenied"},
		{"a session policy leaves it", allowing(`"iam:Get*"`, "*"), "one", ""},
		{"a session policy gives nothing", allowing(`"*"`, "*"), "two", "AccessDenied"},
	} {
		t.Run(one.rule, func(t *testing.T) {
			in := sts.AssumeRoleInput{RoleArn: aws.String(target.ARN()), Tags: tags}
			if one.policy != "" {
				in.Policy = &one.policy
			}
			keys, err := assume(t, c.sts(alice.CreateKeys()), in)
			if err != nil {
				t.Fatal(err)
			}
			if got := code(t, getRole(t, c, keys, one.role)); got != one.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestWebIdentity(t *testing.T) {
	now := &clock{}
	c := newCloud(t, fakeaws.Config{Now: now.Now})
	const url = "https://oidc.eks.us-west-1.amazonaws.com/id/ABC"
	issuer, err := c.AddIssuer(url)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := c.AddIssuer("https://other.example")
	if err != nil {
		t.Fatal(err)
	}
	provider := c.account.AddProvider(url, "sts.amazonaws.com")
	role := addRole(t, c.account, "pod", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"`+provider.ARN+`"},"Action":"sts:AssumeRoleWithWebIdentity",
		"Condition":{"StringEquals":{"oidc.eks.us-west-1.amazonaws.com/id/ABC:sub":"system:serviceaccount:db:agent","oidc.eks.us-west-1.amazonaws.com/id/ABC:aud":"sts.amazonaws.com"}}}]}`)
	for _, one := range []struct {
		rule   string
		issuer *fakeaws.Issuer
		claims fakeaws.Claims
		mangle bool
		want   string
	}{
		{"the service account that is trusted", issuer, fakeaws.Claims{Subject: "system:serviceaccount:db:agent"}, false, ""},
		{"another service account", issuer, fakeaws.Claims{Subject: "system:serviceaccount:db:other"}, false, "AccessDenied"},
		{"another audience", issuer, fakeaws.Claims{Subject: "system:serviceaccount:db:agent", Audience: "x"}, false, "InvalidIdentityToken"},
		{"an issuer without a provider", stranger, fakeaws.Claims{Subject: "system:serviceaccount:db:agent"}, false, "InvalidIdentityToken"},
		{"an expired token", issuer, fakeaws.Claims{Subject: "system:serviceaccount:db:agent", Lifetime: -time.Minute}, false, "ExpiredTokenException"},
		{"a broken signature", issuer, fakeaws.Claims{Subject: "system:serviceaccount:db:agent"}, true, "InvalidIdentityToken"},
	} {
		t.Run(one.rule, func(t *testing.T) {
			token, err := one.issuer.Token(one.claims)
			if err != nil {
				t.Fatal(err)
			}
			if one.mangle {
				last := strings.LastIndex(token, ".")
				token = token[:last+1] + "AAAA" + token[last+5:]
			}
			client := sts.New(sts.Options{Region: "us-west-1", BaseEndpoint: &c.url, RetryMaxAttempts: 1})
			out, err := client.AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{RoleArn: aws.String(role.ARN()),
				RoleSessionName: aws.String("s1"), WebIdentityToken: &token})
			if got := code(t, err); got != one.want {
				t.Fatalf("got %q: %v", got, err)
			}
			if err == nil && (*out.SubjectFromWebIdentityToken != one.claims.Subject || *out.AssumedRoleUser.Arn != "arn:aws:sts::111111111111:assumed-role/pod/s1") {
				t.Errorf("got %+v", out)
			}
		})
	}
}
