package fakeaws_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/redshift"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/wire"
)

// redshiftToy issues passwords for whatever user and database are asked for.
func redshiftToy() *fakeaws.Service {
	return &fakeaws.Service{Name: "redshift", Scope: "redshift", Protocol: wire.Query, Version: "2012-12-01", Namespace: "http://redshift.amazonaws.com/doc/2012-12-01/",
		Operations: []fakeaws.Operation{{Name: "GetClusterCredentials", Action: "redshift:GetClusterCredentials", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
			user := "IAM:" + c.Params.String("DbUser")
			password, expires := c.IssuePassword(fakeaws.Redshift, c.Params.String("ClusterIdentifier"), user, c.Params.String("DbName"), 15*time.Minute)
			return wire.Of("DbUser", user, "DbPassword", password, "Expiration", expires), nil
		}}}}
}

func TestIssuedPasswords(t *testing.T) {
	now := &clock{}
	c := newCloud(t, fakeaws.Config{Now: now.Now}, redshiftToy())
	client := redshift.NewFromConfig(c.config(addUser(t, c.account, "alice", everything).CreateKeys()))
	for _, host := range []string{"dw", "other"} {
		c.AddTarget(fakeaws.Target{Service: fakeaws.Redshift, Host: host + ".example", ResourceID: host, Account: c.account, Region: "us-west-1"})
	}
	issue := func(database *string) string {
		out, err := client.GetClusterCredentials(t.Context(), &redshift.GetClusterCredentialsInput{ClusterIdentifier: aws.String("dw"), DbUser: aws.String("alice"), DbName: database})
		if err != nil {
			t.Fatal(err)
		}
		if *out.DbUser != "IAM:alice" || !out.Expiration.After(now.Now()) {
			t.Errorf("got %+v", out)
		}
		return *out.DbPassword
	}
	bound, free := issue(aws.String("sales")), issue(nil)
	login := func(host, user, database, password string) fakeaws.Login {
		return fakeaws.Login{Service: fakeaws.Redshift, Host: host + ".example", User: user, Database: database, Token: password}
	}
	for _, one := range []struct {
		rule   string
		login  fakeaws.Login
		age    time.Duration
		reason string
	}{
		{"user and database it was issued for", login("dw", "IAM:alice", "sales", bound), 0, ""},
		{"any database where none was named", login("dw", "IAM:alice", "other", free), 0, ""},
		{"another database", login("dw", "IAM:alice", "other", bound), 0, "database"},
		{"the name that was asked for instead of the one returned", login("dw", "alice", "sales", bound), 0, "user"},
		{"another cluster", login("other", "IAM:alice", "sales", bound), 0, "not issued"},
		{"another password", login("dw", "IAM:alice", "sales", bound[:len(bound)-1]), 0, "not issued"},
		{"no password", login("dw", "IAM:alice", "sales", ""), 0, "not issued"},
		{"later than its end", login("dw", "IAM:alice", "sales", bound), 15*time.Minute + time.Second, "expired"},
	} {
		t.Run(one.rule, func(t *testing.T) {
			now.advance(one.age)
			defer now.advance(-one.age)
			verdict := c.Verify(one.login)
			if verdict.Allow != (one.reason == "") || !strings.Contains(verdict.Reason, one.reason) {
				t.Errorf("got %+v", verdict)
			}
		})
	}
	if !slices.Contains(c.Secrets(), bound) {
		t.Error("the password is not in the list of secrets")
	}
}

func TestControlInjectsOnlyFaultsThatExist(t *testing.T) {
	c := newCloud(t, fakeaws.Config{})
	control := httptest.NewServer(c.Control())
	t.Cleanup(control.Close)
	keys := addUser(t, c.account, "alice").CreateKeys()
	for _, one := range []struct {
		fault  string
		status int
		code   string // of a call after it
	}{
		{`{"Kind":"throtle"}`, http.StatusBadRequest, ""},
		{`{"Kind":"custom"}`, http.StatusBadRequest, ""},
		{`{"Kind":"rate"}`, http.StatusBadRequest, ""},
		{`{"Kind":"throttle","Serivce":"sts"}`, http.StatusBadRequest, ""},
		{`{"Kind":"throttle","Service":"sts","Times":1}`, http.StatusOK, "Throttling"},
		{`{"Kind":"custom","Times":1,"Error":{"Code":"Odd","Message":"m"}}`, http.StatusOK, "Odd"},
	} {
		response, err := http.Post(control.URL+"/faults", "application/json", strings.NewReader(one.fault))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		_, err = whoAmI(t.Context(), c.sts(keys))
		if got := code(t, err); response.StatusCode != one.status || got != one.code {
			t.Errorf("%s: %s, then %q", one.fault, response.Status, got)
		}
	}
}
