package login_test

import (
	"context"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/elasticache"
	"sallyport/internal/ca"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/resource"
)

// TestRedisTroublesOfTheGuides has what the guide of ElastiCache tells about happen to a session, as far as it is not about the
// user, and reads what the client and the end of the session have of it: cause and next step.
func TestRedisTroublesOfTheGuides(t *testing.T) {
	const role = "arn:aws:iam::222222222222:role/databases"
	inOtherAccount := func(id string) func(*resource.Database) {
		return func(db *resource.Database) { db.Spec.AWS.AssumeRoleARN, db.Spec.AWS.ExternalID = role, id }
	}
	for _, test := range []struct {
		name     string
		policies []string
		before   func(*testing.T)
		change   func(*resource.Database)
		dial     error
		texts    []string
	}{
		{name: "no credentials", before: func(t *testing.T) { cloudtest.Environment(t, nil) }, texts: []string{"NOAUTH", "NoCredentialProviders: no valid providers in chain"}},
		{name: "no permission to assume the role", policies: []string{}, change: inOtherAccount("right"), texts: []string{"AccessDenied", "sts:AssumeRole", role}},
		{name: "another external id", change: inOtherAccount("wrong"), texts: []string{"AccessDenied", "sts:AssumeRole", role}},
		{name: "no way to the cache", dial: &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 6379}, Err: syscall.ETIMEDOUT},
			texts: []string{"10.0.0.1:6379", "connection timed out", "security group", "nc -zv master.cache."}},
		{name: "a name that is not there", dial: &net.DNSError{Err: "no such host", Name: "master.cache.uek4kd.usw1.cache.amazonaws.com", IsNotFound: true},
			texts: []string{"no such host", "DNS of a VPC"}},
		{name: "a certificate of an unknown authority", change: func(db *resource.Database) {
			db.Spec.TLS.CACert = string(otherAuthority(t))
		}, texts: []string{"certificate signed by unknown authority", "tls.ca_cert"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			policies := test.policies
			if policies == nil {
				policies = append([]string{cloudtest.AllowAssume}, allowRedis...)
			}
			c := newRedisCloud(t, policies...)
			c.users(t)
			c.Role(t, cloudtest.DatabaseAccount, "databases", cloudtest.Trust(c.Agent.ARN(), "right"), allowRedis...)
			group := &elasticache.ReplicationGroup{Place: west, ID: "cache", UserGroups: []string{"team"}}
			if err := c.caches.Add(group); err != nil {
				t.Fatal(err)
			}
			c.serve(t, fakeaws.ElastiCacheConnect, "cache", group.PrimaryHost())
			if test.before != nil {
				test.before(t)
			}
			db := cache(t, group.PrimaryHost())
			if test.change != nil {
				test.change(db)
			}
			agent := c.agent(t, db, func(cfg *enginetest.Config) {
				if test.dial != nil {
					cfg.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, test.dial }
				}
			})
			client := redisClient(t, agent, "alice", "")
			said := client.Ping(t.Context()).Err()
			_ = client.Close()
			cause := agent.Visit(t, 0).Wait(t)
			for _, text := range test.texts {
				if said == nil || !strings.Contains(said.Error(), text) {
					t.Errorf("the client does not read %q: %v", text, said)
				}
				if text != "NOAUTH" && (cause == nil || !strings.Contains(cause.Error(), text)) {
					t.Errorf("the cause does not tell %q: %v", text, cause)
				}
			}
			for _, secret := range c.Secrets() {
				if strings.Contains(said.Error()+cause.Error(), secret) {
					t.Error("a secret is told")
				}
			}
		})
	}
}

func otherAuthority(t *testing.T) []byte {
	t.Helper()
	other, err := ca.New(ca.DatabaseCA, "other", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return other.CertPEM()
}
