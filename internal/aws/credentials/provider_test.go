package credentials_test

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/fault"
)

const (
	roleOne = "arn:aws:iam::222222222222:role/databases"
	roleTwo = "arn:aws:iam::222222222222:role/path/readers"
)

func TestChains(t *testing.T) {
	for _, test := range []struct {
		name    string
		chain   credentials.Chain
		roles   []string // assumed, in order
		ids     []string // external id of each
		names   []string // session name of each
		signers []string // access key that signed each
	}{
		{"nothing is asked for the process's own", credentials.Chain{}, nil, nil, nil, nil},
		{"one role, with its external id", credentials.Chain{AssumeRoleARN: roleOne, ExternalID: "x"}, []string{roleOne}, []string{"x"}, []string{"sallyport-host"}, []string{"AKIDBASE"}},
		{"one role, without external id", credentials.Chain{AssumeRoleARN: roleOne}, []string{roleOne}, []string{""}, []string{"sallyport-host"}, []string{"AKIDBASE"}},
		{"a user's role takes the external id if it is the only one", credentials.Chain{UserRoleARN: roleTwo, ExternalID: "x", User: "alice"}, []string{roleTwo}, []string{"x"}, []string{"alice"}, []string{"AKIDBASE"}},
		{"of two hops only the first takes it", credentials.Chain{AssumeRoleARN: roleOne, UserRoleARN: roleTwo, ExternalID: "x", User: "a b"},
			[]string{roleOne, roleTwo}, []string{"x", ""}, []string{"sallyport-host", credentials.SessionName("a b")}, []string{"AKIDBASE", "ASIA1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startSTS(t)
			p := provider(time.Now)
			cfg, err := p.For(t.Context(), test.chain)
			if err != nil {
				t.Fatal(err)
			}
			if cfg.Region != "eu-west-1" {
				t.Errorf("region %q", cfg.Region)
			}
			calls := s.said()
			if len(calls) != len(test.roles) {
				t.Fatalf("calls %v", calls)
			}
			for i, call := range calls {
				if call.Get("RoleArn") != test.roles[i] || call.Get("ExternalId") != test.ids[i] || call.Has("ExternalId") != (test.ids[i] != "") ||
					call.Get("RoleSessionName") != test.names[i] || call.Get("DurationSeconds") != "3600" {
					t.Errorf("call %d was %v", i, call)
				}
				if got := s.signers()[i]; !strings.HasPrefix(got, test.signers[i]+"/") || !strings.Contains(got, "/eu-west-1/sts/") {
					t.Errorf("call %d was signed by %q", i, got)
				}
			}
			for range 10 {
				if _, err := p.For(t.Context(), test.chain); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(s.said()); n != len(test.roles) {
				t.Errorf("%d calls after ten more", n)
			}
		})
	}
}

func TestSessionTagsGoToTheUsersHop(t *testing.T) {
	s := startSTS(t)
	chain := credentials.Chain{AssumeRoleARN: roleOne, UserRoleARN: roleTwo, User: "alice", SessionTags: map[string]string{"team": "blue"}}
	if _, err := provider(time.Now).For(t.Context(), chain); err != nil {
		t.Fatal(err)
	}
	calls := s.said()
	if calls[0].Has("Tags.member.1.Key") || calls[1].Get("Tags.member.1.Key") != "team" || calls[1].Get("Tags.member.1.Value") != "blue" {
		t.Errorf("calls %v", calls)
	}
}

// TestNothingIsSharedBetweenChains changes each part of a chain: AWS must be asked again.
func TestNothingIsSharedBetweenChains(t *testing.T) {
	s := startSTS(t)
	p := provider(time.Now)
	base := credentials.Chain{Region: "us-west-1", UserRoleARN: roleTwo, ExternalID: "x", User: "alice", SessionTags: map[string]string{"a": "b"}}
	keys := map[string]string{}
	for name, change := range map[string]func(*credentials.Chain){
		"nothing":     func(*credentials.Chain) {},
		"region":      func(c *credentials.Chain) { c.Region = "us-west-2" },
		"role":        func(c *credentials.Chain) { c.UserRoleARN = roleOne },
		"external id": func(c *credentials.Chain) { c.ExternalID = "y" },
		"first role":  func(c *credentials.Chain) { c.AssumeRoleARN = roleOne },
		"user":        func(c *credentials.Chain) { c.User = "bob" },
		"tags":        func(c *credentials.Chain) { c.SessionTags = map[string]string{"a": "c"} },
		"no tags":     func(c *credentials.Chain) { c.SessionTags = nil },
	} {
		chain := base
		change(&chain)
		before := len(s.said())
		cfg, err := p.For(t.Context(), chain)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.said()) == before {
			t.Errorf("%s: AWS was not asked", name)
		}
		creds, err := cfg.Credentials.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := keys[creds.AccessKeyID]; taken {
			t.Errorf("%s and %s share credentials", name, other)
		}
		keys[creds.AccessKeyID] = name
	}
}

func TestCredentialsAreRenewed(t *testing.T) {
	s := startSTS(t)
	now := time.Now()
	clock := func() time.Time { return now }
	s.now = clock
	p := provider(clock)
	chain := credentials.Chain{AssumeRoleARN: roleOne}
	var deny string
	s.answer = func(url.Values) (int, string, string) {
		switch deny {
		case "":
			return 0, "", ""
		case "InternalFailure":
			return 500, deny, "later"
		default:
			return 403, deny, "no"
		}
	}
	for _, step := range []struct {
		name  string
		after time.Duration
		deny  string
		key   string // of the credentials, or ""
	}{
		{"the first", 0, "", "ASIA1"},
		{"kept", 54 * time.Minute, "", "ASIA1"},
		{"renewed before the end", 2 * time.Minute, "", "ASIA2"},
		{"kept while AWS is in trouble", 56 * time.Minute, "InternalFailure", "ASIA2"},
		{"not kept past the end", 5 * time.Minute, "InternalFailure", ""},
		{"new ones", 0, "", "ASIA5"},
		{"taken away when AWS says no", 56 * time.Minute, "AccessDenied", ""},
		{"and asked for again", 0, "", "ASIA7"},
	} {
		now = now.Add(step.after)
		deny = step.deny
		cfg, err := p.For(t.Context(), chain)
		if (err == nil) != (step.key != "") {
			t.Fatalf("%s: %v", step.name, err)
		}
		if err != nil {
			if _, err := p.For(t.Context(), credentials.Chain{}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		creds, err := cfg.Credentials.Retrieve(t.Context())
		if err != nil || creds.AccessKeyID != step.key {
			t.Fatalf("%s: got %s, %v", step.name, creds.AccessKeyID, err)
		}
	}
}

// TestSTSCannotHaveCredentialsKeptForLong has STS say that they are good for a year.
func TestSTSCannotHaveCredentialsKeptForLong(t *testing.T) {
	s := startSTS(t)
	now := time.Now()
	s.now = func() time.Time { return now }
	s.lives = 365 * 24 * time.Hour
	p := provider(s.now)
	for _, want := range []string{"ASIA1", "ASIA2"} {
		cfg, err := p.For(t.Context(), credentials.Chain{AssumeRoleARN: roleOne})
		if err != nil {
			t.Fatal(err)
		}
		if creds, err := cfg.Credentials.Retrieve(t.Context()); err != nil || creds.AccessKeyID != want || creds.Expires.After(now.Add(time.Hour)) {
			t.Errorf("got %s until %s, %v; want %s", creds.AccessKeyID, creds.Expires, err, want)
		}
		now = now.Add(61 * time.Minute)
	}
}

// TestNoFallBack has the second hop denied: neither the first hop's credentials nor the process's come back.
func TestNoFallBack(t *testing.T) {
	s := startSTS(t)
	s.answer = func(call url.Values) (int, string, string) {
		if call.Get("RoleArn") == roleTwo {
			return 403, "AccessDenied", "User: arn:aws:sts::222222222222:assumed-role/databases/sallyport-host is not authorized to perform: sts:AssumeRole on resource: " + roleTwo
		}
		return 0, "", ""
	}
	p := provider(time.Now)
	cfg, err := p.For(t.Context(), credentials.Chain{AssumeRoleARN: roleOne, ExternalID: "x", UserRoleARN: roleTwo, User: "alice"})
	if !fault.Is(err, fault.AccessDenied) || cfg.Credentials != nil {
		t.Fatalf("got %v, %v", cfg.Credentials, err)
	}
	for _, want := range []string{"hop 2", "no external id was sent", "assumed-role/databases/sallyport-host", "aws sts assume-role --role-arn " + roleTwo + " --role-session-name test-trust-relationship"} {
		if !strings.Contains(fault.Message(err), want) {
			t.Errorf("the message lacks %q: %s", want, fault.Message(err))
		}
	}
}

func TestManyAskOnce(t *testing.T) {
	s := startSTS(t)
	p := provider(time.Now)
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() {
			if _, err := p.For(t.Context(), credentials.Chain{AssumeRoleARN: roleOne, UserRoleARN: roleTwo, User: "alice"}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := len(s.said()); n != 2 {
		t.Errorf("%d calls", n)
	}
}

func TestCallerIsKeptForTenMinutes(t *testing.T) {
	s := startSTS(t)
	now := time.Now()
	p := provider(func() time.Time { return now })
	for _, after := range []time.Duration{0, 9 * time.Minute, 2 * time.Minute} {
		now = now.Add(after)
		caller, err := p.Caller(t.Context(), credentials.Chain{})
		if err != nil || caller.Account != "111111111111" || caller.Role() != "agent" || caller.Partition != "aws" {
			t.Fatalf("%+v, %v", caller, err)
		}
	}
	if n := len(s.said()); n != 2 {
		t.Errorf("%d calls", n)
	}
}

func TestChainsThatAreRefused(t *testing.T) {
	s := startSTS(t)
	p := provider(time.Now)
	for _, test := range []struct {
		name  string
		chain credentials.Chain
		text  string
	}{
		{"an external id for nobody", credentials.Chain{ExternalID: "x"}, "external_id is set but assume_role_arn is empty"},
		{"a user", credentials.Chain{AssumeRoleARN: "arn:aws:iam::222222222222:user/x"}, "is not the ARN of a role"},
		{"no name", credentials.Chain{AssumeRoleARN: "arn:aws:iam::222222222222:role/"}, "is not the name of a role"},
		{"a role in China for a database in Oregon", credentials.Chain{Region: "us-west-2", AssumeRoleARN: "arn:aws-cn:iam::222222222222:role/x"}, "is in partition aws-cn"},
		{"a role in China for a database of the environment's region", credentials.Chain{AssumeRoleARN: "arn:aws-cn:iam::222222222222:role/x"}, "is in partition aws-cn"},
		{"tags for nobody", credentials.Chain{AssumeRoleARN: roleOne, SessionTags: map[string]string{"a": "b"}}, "session tags"},
	} {
		if _, err := p.For(t.Context(), test.chain); err == nil || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if calls := s.said(); len(calls) > 0 {
		t.Errorf("AWS was asked: %v", calls)
	}
}
