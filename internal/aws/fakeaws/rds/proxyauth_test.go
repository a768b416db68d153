package rds_test

import (
	"testing"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/fakeawstest"
	"sallyport/internal/aws/fakeaws/kms"
	"sallyport/internal/aws/fakeaws/rds"
	"sallyport/internal/aws/fakeaws/secretsmanager"
)

// TestAProxyReadsItsSecrets asks for what a proxy logs in with, as the role that it was given.
func TestAProxyReadsItsSecrets(t *testing.T) {
	p := &rds.Proxy{Place: here, Name: "front", Endpoints: []*rds.ProxyEndpoint{{Name: "reads"}}, Auth: []rds.ProxyAuth{}}
	c, _ := newCloud(t, p)
	keys := kms.New(c.World)
	secrets := secretsmanager.New(c.World, keys)
	c.Add(keys.Service(), secrets.Service())
	alice := &secretsmanager.Secret{Place: here, Name: "rdsproxy_alice", Value: `{"username":"alice","password":"of alice"}`}
	bob := &secretsmanager.Secret{Place: here, Name: "rdsproxy_bob", Value: `{"username":"bob","password":"of bob"}`}
	broken := &secretsmanager.Secret{Place: here, Name: "rdsproxy_broken", Value: `no JSON`}
	if err := secrets.Add(alice, bob, broken); err != nil {
		t.Fatal(err)
	}
	role := func(name, service, resource string) string {
		t.Helper()
		r, err := c.Account.AddRole(fakeaws.Role{Name: name, Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`,
			Permissions: fakeaws.Permissions{Inline: map[string]string{"p": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"` + resource + `"}]}`}}})
		if err != nil {
			t.Fatal(err)
		}
		return r.ARN()
	}
	const any = "arn:aws:secretsmanager:us-west-1:111111111111:secret:*"
	reader, others, narrow := role("reader", "rds.amazonaws.com", any), role("others", "ec2.amazonaws.com", any), role("narrow", "rds.amazonaws.com", bob.ARN())
	all := []rds.ProxyAuth{{SecretARN: broken.ARN(), IAMAuth: "REQUIRED"}, {SecretARN: alice.ARN(), IAMAuth: "REQUIRED"}, {SecretARN: bob.ARN(), IAMAuth: "DISABLED"}}
	for _, one := range []struct {
		rule, role, user string
		auth             []rds.ProxyAuth
		want             fakeaws.Secret
	}{
		{"a secret with IAM", reader, "alice", all, fakeaws.Secret{User: "alice", Password: "of alice"}},
		{"a secret without IAM", reader, "bob", all, fakeaws.Secret{User: "bob", Password: "of bob", IAMOff: true}},
		{"a user without a secret", reader, "carol", all, fakeaws.Secret{}},
		{"a user without a name", reader, "", all, fakeaws.Secret{}},
		{"no role", "", "alice", all, fakeaws.Secret{}},
		{"a role that trusts another service", others, "alice", all, fakeaws.Secret{}},
		{"a role that may not read the secret", narrow, "alice", all, fakeaws.Secret{}},
		{"a role that may read one of them", narrow, "bob", all, fakeaws.Secret{User: "bob", Password: "of bob", IAMOff: true}},
		{"no secrets", reader, "alice", []rds.ProxyAuth{}, fakeaws.Secret{}},
	} {
		c.Update(func() { p.Role, p.Auth = one.role, one.auth })
		for _, host := range p.Addrs() {
			if got, ok := c.ProxySecret(host, one.user); got != one.want || ok != (one.want.User != "") {
				t.Errorf("%s: got %+v, %t", one.rule, got, ok)
			}
		}
	}
	if _, ok := c.ProxySecret("elsewhere:3306", "alice"); ok || fakeawstest.Here != here {
		t.Error("what is no proxy has secrets")
	}
}
