package credentials_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/fault"
)

// TestExternalIDs has two databases behind one role that wants an external id: with the right one, and with a
// wrong or none. What one was given must never serve the other.
func TestExternalIDs(t *testing.T) {
	c := cloudtest.New(t, nil, cloudtest.AllowAssume)
	first := c.Role(t, cloudtest.DatabaseAccount, "databases", cloudtest.Trust(c.Agent.ARN(), "right"), cloudtest.AllowAssume).ARN()
	second := c.Role(t, cloudtest.DatabaseAccount, "reader", cloudtest.Trust(first, "")).ARN()
	p := c.Provider()
	for _, test := range []struct {
		name  string
		chain credentials.Chain
		sts   int // calls
		ok    bool
	}{
		{"the right one", credentials.Chain{AssumeRoleARN: first, ExternalID: "right"}, 1, true},
		{"a wrong one", credentials.Chain{AssumeRoleARN: first, ExternalID: "wrong"}, 1, false},
		{"a wrong one again, for errors are not kept", credentials.Chain{AssumeRoleARN: first, ExternalID: "wrong"}, 1, false},
		{"none", credentials.Chain{AssumeRoleARN: first}, 1, false},
		{"the right one, kept", credentials.Chain{AssumeRoleARN: first, ExternalID: "right"}, 0, true},
		{"a user's role through the first", credentials.Chain{AssumeRoleARN: first, ExternalID: "right", UserRoleARN: second, User: "alice"}, 1, true},
		{"a user's role not through the first", credentials.Chain{UserRoleARN: second, User: "alice"}, 1, false},
		{"a user's role through a refused one", credentials.Chain{AssumeRoleARN: first, ExternalID: "wrong", UserRoleARN: second, User: "alice"}, 1, false},
	} {
		c.ForgetJournal()
		_, err := p.For(t.Context(), test.chain)
		if (err == nil) != test.ok || err != nil && !fault.Is(err, fault.AccessDenied) {
			t.Errorf("%s: %v", test.name, err)
		}
		if calls := c.Calls("sts", ""); len(calls) != test.sts {
			t.Errorf("%s: %d calls", test.name, len(calls))
		}
	}
}

// TestWhichPolicyIsMissing takes away one policy after another, and reads which one the explanation blames.
func TestWhichPolicyIsMissing(t *testing.T) {
	c := cloudtest.New(t, nil, cloudtest.AllowAssume)
	// AWS tells only callers of the role's own account which one it was. A role that names them needs no more.
	good := cloudtest.Trust("arn:aws:iam::111111111111:root", "right")
	role, err := c.Account("aws", "111111111111").AddRole(fakeaws.Role{Name: "databases", Trust: good})
	if err != nil {
		t.Fatal(err)
	}
	boundary, err := c.Account("aws", "111111111111").AddPolicy("boundary", strings.ReplaceAll(cloudtest.AllowAssume, "sts:AssumeRole", "rds:DescribeDBInstances"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func()
		text   string
	}{
		{"nothing", func() {}, ""},
		{"the caller's own", func() { c.Agent.Inline = nil }, "permissions policy of arn:aws:sts::111111111111:assumed-role/agent/i-1"},
		{"the boundary", func() { c.Agent.Boundary = boundary }, "permissions boundary"},
		{"the trust policy", func() { role.Trust = cloudtest.Trust("arn:aws:iam::333333333333:root", "") }, "trust policy of " + role.ARN()},
	} {
		c.Update(func() {
			c.Agent.Permissions, role.Trust = cloudtest.Inline(cloudtest.AllowAssume), good
			test.change()
		})
		_, err := c.Provider().For(t.Context(), credentials.Chain{AssumeRoleARN: role.ARN(), ExternalID: "right"})
		if (err == nil) != (test.text == "") || !strings.Contains(fault.Message(err), test.text) && err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestAWorkingDay uses one chain for a day: credentials are renewed each hour, and valid at every moment.
func TestAWorkingDay(t *testing.T) {
	cloudtest.Environment(t, nil)
	synctest.Test(t, func(t *testing.T) {
		c := cloudtest.New(t, nil, cloudtest.AllowAssume)
		chain := credentials.Chain{AssumeRoleARN: c.Role(t, cloudtest.DatabaseAccount, "databases", cloudtest.Trust(c.Agent.ARN(), "right")).ARN(), ExternalID: "right"}
		p := c.Provider()
		for range 11 * 60 {
			caller, err := p.Caller(t.Context(), chain)
			if err != nil || caller.Role() != "databases" {
				t.Fatalf("at %s: %v, %v", time.Now(), caller, err)
			}
			time.Sleep(time.Minute)
		}
		if n := len(c.Calls("sts", "AssumeRole")); n != 12 {
			t.Errorf("assumed %d times in 11 hours", n)
		}
		time.Sleep(2 * time.Hour)
		_, err := p.For(t.Context(), chain)
		if !fault.Is(err, fault.ConnectionProblem) || !strings.Contains(fault.Message(err), "have expired") {
			t.Errorf("when the agent's own have expired: %v", err)
		}
	})
}

func TestAThousandUsersOfOneRole(t *testing.T) {
	c := cloudtest.New(t, nil, cloudtest.AllowAssume)
	chain := credentials.Chain{AssumeRoleARN: c.Role(t, cloudtest.DatabaseAccount, "databases", cloudtest.Trust(c.Agent.ARN(), "")).ARN(), Region: "us-west-2"}
	p := c.Provider()
	var group sync.WaitGroup
	for range 1000 {
		group.Go(func() {
			if _, err := p.For(t.Context(), chain); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if calls := c.Calls("sts", ""); len(calls) != 1 || calls[0].Region != "us-west-2" {
		t.Errorf("%d calls: %v", len(calls), calls)
	}
}

// TestTroubleAtAWS has STS in trouble while credentials are renewed.
func TestTroubleAtAWS(t *testing.T) {
	cloudtest.Environment(t, nil)
	synctest.Test(t, func(t *testing.T) {
		c := cloudtest.New(t, nil, cloudtest.AllowAssume)
		chain := credentials.Chain{AssumeRoleARN: c.Role(t, cloudtest.DatabaseAccount, "databases", cloudtest.Trust(c.Agent.ARN(), "")).ARN()}
		p := c.Provider()
		if _, err := p.For(t.Context(), chain); err != nil {
			t.Fatal(err)
		}
		time.Sleep(56 * time.Minute)
		for _, kind := range []fakeaws.Kind{fakeaws.Throttle, fakeaws.ServerError} {
			remove := c.Inject(fakeaws.Fault{Service: "sts", Operation: "AssumeRole", Kind: kind})
			if _, err := p.For(t.Context(), chain); err != nil {
				t.Errorf("%v: credentials that are still valid did not serve: %v", kind, err)
			}
			remove()
			time.Sleep(11 * time.Second)
		}
		c.Inject(fakeaws.Fault{Service: "sts", Operation: "AssumeRole", Kind: fakeaws.Denied})
		if _, err := p.For(t.Context(), chain); !fault.Is(err, fault.AccessDenied) {
			t.Errorf("AWS said no, and they serve on: %v", err)
		}
	})
}
