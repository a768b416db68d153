package fakeaws_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"sallyport/internal/aws/fakeaws"
)

// clock is a world's time that tests move.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

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
	return aws.Config{Region: "us-west-1", BaseEndpoint: aws.String(c.url), RetryMaxAttempts: 1,
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
	stranger := alice.CreateKeys()
	stranger.SecretAccessKey += "x"
	if _, err := whoAmI(t.Context(), c.sts(stranger)); code(t, err) != "SignatureDoesNotMatch" {
		t.Errorf("wrong secret: %v", err)
	}
}
