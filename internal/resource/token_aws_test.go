package resource_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/internal/resource"
)

// awsToken returns a valid token with one rule that has the ARN pattern.
func awsToken(method, pattern string) *resource.Token {
	r, err := resource.New(resource.KindToken)
	if err != nil {
		panic(err)
	}
	token := r.(*resource.Token)
	token.Metadata.Name = "aws"
	token.Spec.Roles, token.Spec.JoinMethod = []resource.SystemRole{resource.RoleDb}, method
	token.Spec.Allow = []resource.TokenRule{{AWSAccount: "123456789012", AWSARN: pattern}}
	return token
}

func TestPatternsOfARNs(t *testing.T) {
	const agent = "arn:aws:sts::123456789012:assumed-role/agent/i-0abc"
	for _, one := range []struct {
		pattern, arn string
		want         bool
	}{
		{"", agent, true},
		{agent, agent, true},
		{"arn:aws:sts::123456789012:assumed-role/agent/*", agent, true},
		{"arn:aws:sts::123456789012:assumed-role/agent/i-*", agent, true},
		{"arn:aws:sts::123456789012:assumed-role/agent/i-0ab?", agent, true},
		{"arn:aws:sts::123456789012:assumed-role/a*t/*c", agent, true},
		{"arn:aws:sts::123456789012:assumed-role/*/*", agent, true},
		{"arn:aws:sts::123456789012:assumed-role/agent/i-0ab", agent, false},                                                           // not a prefix
		{"arn:aws:sts::123456789012:assumed-role/agent/0abc", agent, false},                                                            // not a suffix
		{"arn:aws:sts::123456789012:assumed-role/agent/i-0abc?", agent, false},                                                         // one more
		{"arn:aws:sts::123456789012:assumed-role/a*/i-*", "arn:aws:sts::123456789012:assumed-role/a/b/i-1", false},                     // no slash for *
		{"arn:aws:sts::123456789012:assumed-role/a?i-1/*", "arn:aws:sts::123456789012:assumed-role/a/i-1/x", false},                    // nor for ?
		{"arn:aws:sts::123456789012:assumed-role/*/agent", "arn:aws:sts::123456789012:assumed-role/x:assumed-role/agent/agent", false}, // no colon
		{"arn:aws:sts::123456789012:assumed-role/agent/*", "arn:aws:sts::210987654321:assumed-role/agent/i-1", false},
		{"arn:aws:sts::123456789012:assumed-role/agent/*", "arn:aws:sts::1234567890123:assumed-role/agent/i-1", false},
		{"arn:aws:sts::123456789012:assumed-role/agent/*", "arn:aws:sts::123456789012:assumed-role/agent2/i-1", false},
		{"arn:aws:sts::123456789012:assumed-role/agent/*", "arn:aws:sts::123456789012:assumed-role/Agent/i-1", false}, // letter for letter
		{"arn:aws:sts::123456789012:assumed-role/agent/*", "arn:aws:sts::123456789012:federated-user/agent", false},
		{"arn:aws:sts::123456789012:assumed-role/a.c/*", "arn:aws:sts::123456789012:assumed-role/abc/i-1", false}, // a dot is a dot
		{"arn:aws:iam::123456789012:user/team/*", "arn:aws:iam::123456789012:user/team/bob", true},
		{"arn:aws:iam::123456789012:user/*", "arn:aws:iam::123456789012:user/team/bob", false},
		{"arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:root", true},
	} {
		token := awsToken(resource.JoinIAM, one.pattern)
		if err := token.Validate(); err != nil {
			t.Errorf("%s: %v", one.pattern, err)
		}
		if got := token.Spec.Allow[0].MatchARN(one.arn); got != one.want {
			t.Errorf("%s matches %s: %t", one.pattern, one.arn, got)
		}
	}
}

func TestPatternsThatMeanSomethingElseAreRefused(t *testing.T) {
	for pattern, want := range map[string]string{
		"*":                                    "is not the ARN of an identity",
		"arn:aws:iam::123456789012:role/agent": "write arn:aws:sts::123456789012:assumed-role/agent/*",
		"arn:aws:iam::123456789012:role/team/agent":           "write arn:aws:sts::123456789012:assumed-role/agent/*",
		"arn:aws:sts::123456789012:assumed-role/agent":        "must name a role and a session",
		"arn:aws:sts::123456789012:assumed-role/agent*":       "must name a role and a session",
		"arn:aws:sts::123456789012:assumed-role/team/agent/*": "must name a role and a session",
		"arn:aws:sts::123456789012:*":                         "must be of a session of a role",
		"arn:aws:sts::210987654321:assumed-role/agent/*":      "must be of the rule's account",
		"arn:aws:sts::*:assumed-role/agent/*":                 "must be of the rule's account",
		"arn:aws:sts:us-west-1:123456789012:assumed-role/a/*": "must be of the rule's account",
		"arn:*:sts::123456789012:assumed-role/agent/*":        "names partition",
		"arn:aws:ec2::123456789012:instance/i-1":              "must be of a session of a role",
		"arn:aws:iam::123456789012:group/x":                   "must be of a session of a role",
	} {
		if err := awsToken(resource.JoinIAM, pattern).Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

func TestNamesOfTokensThatAreNoSecretsAreShown(t *testing.T) {
	iam, ec2 := awsToken(resource.JoinIAM, ""), awsToken(resource.JoinEC2, "")
	for _, token := range []*resource.Token{iam, ec2} {
		if err := token.Validate(); err != nil || token.ShownName() != "aws" || token.Spec.UsesLeft != nil {
			t.Errorf("%+v: %v", token, err)
		}
	}
	if iam.Spec.AWSIIDTTL != 0 || time.Duration(ec2.Spec.AWSIIDTTL) != 5*time.Minute {
		t.Errorf("documents live %v and %v", iam.Spec.AWSIIDTTL, ec2.Spec.AWSIIDTTL)
	}
	secret := &resource.Token{}
	secret.Metadata.Name = "0123456789abcdef"
	if secret.ShownName() != "************cdef" {
		t.Errorf("shown %s", secret.ShownName())
	}
}

func FuzzARNPatterns(f *testing.F) {
	f.Add("arn:aws:sts::123456789012:assumed-role/a*/i-?", "arn:aws:sts::123456789012:assumed-role/agent/i-1")
	f.Add("a**?*/", "aaaaaaaa/")
	f.Fuzz(func(t *testing.T, pattern, arn string) {
		if pattern == "" || strings.ContainsAny(arn, "*?") {
			return
		}
		if !(resource.TokenRule{AWSARN: arn}).MatchARN(arn) && arn != "" {
			t.Fatalf("%q does not match itself", arn)
		}
		if (resource.TokenRule{AWSARN: pattern}).MatchARN(arn) {
			for _, boundary := range []string{":", "/"} {
				if strings.Count(pattern, boundary) != strings.Count(arn, boundary) {
					t.Fatalf("%q matches %q", pattern, arn)
				}
			}
		}
	})
}
