package fakeaws_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/fakeawstest"
)

// clock is a world's time that tests move: the machine's, plus an offset.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// cloud is a world with one account, served on a loopback port.
type cloud struct {
	*fakeaws.World
	account *fakeaws.Account
	url     string
}

func newCloud(t *testing.T, config fakeaws.Config, services ...*fakeaws.Service) *cloud {
	t.Helper()
	world, err := fakeaws.New(config)
	if err != nil {
		t.Fatal(err)
	}
	world.Add(services...)
	server, err := world.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return &cloud{world, world.Account("aws", "111111111111"), server.URL}
}

// config points an SDK client at the cloud. It makes one attempt only.
func (c *cloud) config(keys fakeaws.Keys) aws.Config {
	return aws.Config{Region: "us-west-1", BaseEndpoint: aws.String(c.url), RetryMaxAttempts: 1, HTTPClient: fakeawstest.HTTPClient(),
		Credentials: credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken)}
}

func (c *cloud) sts(keys fakeaws.Keys) *sts.Client { return sts.NewFromConfig(c.config(keys)) }

func whoAmI(ctx context.Context, client *sts.Client) (string, error) {
	out, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.Arn), nil
}

// code is the code of an error of an API, or "" for success.
func code(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	if failure, ok := errors.AsType[smithy.APIError](err); ok {
		return failure.ErrorCode()
	}
	t.Fatalf("not an answer of an API: %v", err)
	return ""
}

func addUser(t *testing.T, a *fakeaws.Account, name string, inline ...string) *fakeaws.User {
	t.Helper()
	u := fakeaws.User{Name: name, Permissions: permissions(inline...)}
	added, err := a.AddUser(u)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func addRole(t *testing.T, a *fakeaws.Account, name, trust string, inline ...string) *fakeaws.Role {
	t.Helper()
	added, err := a.AddRole(fakeaws.Role{Name: name, Trust: trust, Permissions: permissions(inline...)})
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func permissions(inline ...string) fakeaws.Permissions {
	p := fakeaws.Permissions{Inline: map[string]string{}}
	for i, document := range inline {
		p.Inline[string(rune('a'+i))] = document
	}
	return p
}

func TestCallersAreRecognisedByTheirKeys(t *testing.T) {
	c := newCloud(t, fakeaws.Config{})
	alice := addUser(t, c.account, "alice")
	arn, err := whoAmI(t.Context(), c.sts(alice.CreateKeys()))
	if err != nil || arn != "arn:aws:iam::111111111111:user/alice" {
		t.Fatalf("got %q, %v", arn, err)
	}
	root := c.account.CreateRootKeys()
	if arn, err := whoAmI(t.Context(), c.sts(root)); err != nil || arn != "arn:aws:iam::111111111111:root" {
		t.Errorf("root: got %q, %v", arn, err)
	}
	role := addRole(t, c.account, "agent", trusting(`{"Service":"ec2.amazonaws.com"}`))
	if arn, err := whoAmI(t.Context(), c.sts(role.Session("i-1", time.Hour))); err != nil || arn != "arn:aws:sts::111111111111:assumed-role/agent/i-1" {
		t.Errorf("session: got %q, %v", arn, err)
	}
}

func TestKeysThatAreNotGood(t *testing.T) {
	time0 := &clock{}
	c := newCloud(t, fakeaws.Config{Now: time0.Now})
	alice := addUser(t, c.account, "alice")
	china := c.Account("aws-cn", "999999999999")
	role := addRole(t, c.account, "agent", trusting(`{"Service":"ec2.amazonaws.com"}`))
	for _, one := range []struct {
		rule string
		keys func() fakeaws.Keys
		want string
	}{
		{"another secret", func() fakeaws.Keys {
			k := alice.CreateKeys()
			k.SecretAccessKey += "x"
			return k
		}, "SignatureDoesNotMatch"},
		{"unknown key", func() fakeaws.Keys {
			k := alice.CreateKeys()
			k.AccessKeyID = "AKIAXXXXXXXXXXXXXXXX"
			return k
		}, "InvalidClientTokenId"},
		{"revoked key", func() fakeaws.Keys {
			k := alice.CreateKeys()
			c.Revoke(k.AccessKeyID)
			return k
		}, "InvalidClientTokenId"},
		{"session token left out", func() fakeaws.Keys {
			k := role.Session("s1", time.Hour)
			k.SessionToken = ""
			return k
		}, "InvalidClientTokenId"},
		{"session token of another session", func() fakeaws.Keys {
			k := role.Session("s1", time.Hour)
			k.SessionToken = role.Session("s2", time.Hour).SessionToken
			return k
		}, "InvalidClientTokenId"},
		{"session token with a long-lived key", func() fakeaws.Keys {
			k := alice.CreateKeys()
			k.SessionToken = "x"
			return k
		}, "InvalidClientTokenId"},
		{"key of another partition", func() fakeaws.Keys {
			u := addUser(t, china, "wei")
			return u.CreateKeys()
		}, "InvalidClientTokenId"},
		{"expired session", func() fakeaws.Keys { return role.Session("s3", -time.Second) }, "ExpiredToken"},
	} {
		t.Run(one.rule, func(t *testing.T) {
			if _, err := whoAmI(t.Context(), c.sts(one.keys())); code(t, err) != one.want {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("a clock that is wrong", func(t *testing.T) {
		keys := alice.CreateKeys()
		for _, skew := range []time.Duration{6 * time.Minute, -12 * time.Minute} {
			time0.advance(skew)
			if _, err := whoAmI(t.Context(), c.sts(keys)); code(t, err) != "SignatureDoesNotMatch" {
				t.Errorf("%v: got %v", skew, err)
			}
		}
		time0.advance(6 * time.Minute)
		if _, err := whoAmI(t.Context(), c.sts(keys)); err != nil {
			t.Errorf("the right time again: %v", err)
		}
	})
}

// trusting is a trust policy that lets a principal assume the role and tag the session, under conditions if any.
func trusting(principal string, conditions ...string) string {
	condition := ""
	if len(conditions) > 0 {
		condition = `,"Condition":{` + conditions[0] + `}`
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal +
		`,"Action":["sts:AssumeRole","sts:TagSession"]` + condition + `}]}`
}

// allowing is an identity policy that allows actions on a resource.
func allowing(actions, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":` + actions + `,"Resource":"` + resource + `"}]}`
}
