// Package fakeawstest starts a local AWS with some services for one test, and calls it as one who may do everything.
package fakeawstest

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/awsclitest"
	"sallyport/internal/aws/fakeaws/inventory"
)

// The account and the region of a cloud.
const (
	AccountID = "111111111111"
	Region    = "us-west-1"
)

// Here is where most resources of a test are.
var Here = inventory.Place{Account: AccountID, Region: Region}

// Everything is a policy that allows everything.
const Everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// Clock is a world's time that tests move: the machine's, plus an offset.
type Clock struct{ ahead atomic.Int64 }

// Now is the world's time.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Advance moves it.
func (c *Clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// Cloud is a world, served on a loopback port in the clear.
type Cloud struct {
	*fakeaws.World
	Clock   *Clock
	Account *fakeaws.Account
	Admin   fakeaws.Keys // of a user who may do everything
	URL     string
}

// New starts a world. Services are added with Add.
func New(t testing.TB) *Cloud {
	t.Helper()
	clock := new(Clock)
	world, err := fakeaws.New(fakeaws.Config{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	server, err := world.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	c := &Cloud{World: world, Clock: clock, Account: world.Account("aws", AccountID), URL: server.URL}
	c.Admin = c.User(t, "admin", Everything)
	return c
}

// User adds a user with one policy and gives a key of it.
func (c *Cloud) User(t testing.TB, name, policy string) fakeaws.Keys {
	t.Helper()
	user, err := c.Account.AddUser(fakeaws.User{Name: name, Permissions: fakeaws.Permissions{Inline: map[string]string{"p": policy}}})
	if err != nil {
		t.Fatal(err)
	}
	return user.CreateKeys()
}

// Config points a client of the SDK at the cloud. It makes one attempt only.
func (c *Cloud) Config(keys fakeaws.Keys, region string) aws.Config {
	return aws.Config{Region: region, BaseEndpoint: aws.String(c.URL), RetryMaxAttempts: 1, HTTPClient: HTTPClient(),
		Credentials: credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken)}
}

// CLI runs commands of Debian's AWS command line as somebody.
func (c *Cloud) CLI(t *testing.T, keys fakeaws.Keys, commands ...awsclitest.Command) {
	t.Helper()
	c.CLIAt(t, Region, keys, commands...)
}

// CLIAt is CLI in another region.
func (c *Cloud) CLIAt(t *testing.T, region string, keys fakeaws.Keys, commands ...awsclitest.Command) {
	t.Helper()
	awsclitest.Client{URL: c.URL, Region: region, AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey,
		SessionToken: keys.SessionToken}.Run(t, commands)
}

// AllCalled fails the test for operations of a service that were never called, but for those it names.
func (c *Cloud) AllCalled(t testing.TB, service string, except ...string) {
	t.Helper()
	called := map[string]bool{}
	for _, entry := range c.Calls(service, "") {
		called[entry.Operation] = true
	}
	for _, name := range c.Operations(service) {
		if !called[name] && !slices.Contains(except, name) {
			t.Errorf("%s was not called", name)
		}
	}
}

// Code is the code of an error of an API, or "" for success.
func Code(t testing.TB, err error) string {
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

// Token signs a login token of ElastiCache or MemoryDB, or with a host of name:port one of RDS (service rds-db, parameter DBUser).
func (c *Cloud) Token(t testing.TB, keys fakeaws.Keys, service, host, parameter, user string) string {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, "https://"+host+"/?Action=connect&X-Amz-Expires=900&"+parameter+"="+url.QueryEscape(user), nil)
	if err != nil {
		t.Fatal(err)
	}
	const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.SessionToken},
		request, emptyHash, service, Region, c.Now())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(signed, "https://")
}
