package iam_test

import (
	"testing"

	"sallyport/internal/aws/fakeaws/iam"
)

func policy(t *testing.T, kind iam.Kind, document string) *iam.Policy {
	t.Helper()
	p, err := iam.Parse(document, kind)
	if err != nil {
		t.Fatalf("%v in %s", err, document)
	}
	return p
}

// statements makes a document of statements.
func statements(list string) string { return `{"Version":"2012-10-17","Statement":[` + list + `]}` }

const (
	database = "arn:aws:rds:us-west-1:111111111111:db:orders"
	role     = "arn:aws:iam::111111111111:role/team/agent"
	session  = "arn:aws:sts::111111111111:assumed-role/agent/i-1"
	user     = "arn:aws:iam::111111111111:user/alice"
	target   = "arn:aws:iam::222222222222:role/target"
)

func TestIdentityPolicies(t *testing.T) {
	const all = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	for _, c := range []struct {
		rule, identity, boundary, session string
		allowed                           bool
		layer                             iam.Layer
		explicit                          bool
	}{
		{rule: "nothing is allowed by default", layer: iam.LayerIdentity},
		{rule: "a matching statement allows", identity: `{"Effect":"Allow","Action":"rds:ModifyDBInstance","Resource":"` + database + `"}`, allowed: true},
		{rule: "actions ignore case and take wildcards", identity: `{"Effect":"Allow","Action":["RDS:modify*instanc?"],"Resource":"*"}`, allowed: true},
		{rule: "another action is not allowed", identity: `{"Effect":"Allow","Action":"rds:Describe*","Resource":"*"}`, layer: iam.LayerIdentity},
		{rule: "resources keep case", identity: `{"Effect":"Allow","Action":"*","Resource":"arn:aws:rds:us-west-1:111111111111:db:Orders"}`, layer: iam.LayerIdentity},
		{rule: "a star does not reach over a colon of an ARN", identity: `{"Effect":"Allow","Action":"*","Resource":"arn:aws:rds:*:db:orders"}`, layer: iam.LayerIdentity},
		{rule: "a star in the last part reaches over colons", identity: `{"Effect":"Allow","Action":"*","Resource":"arn:aws:rds:us-west-1:111111111111:*"}`, allowed: true},
		{rule: "an incomplete ARN is completed", identity: `{"Effect":"Allow","Action":"*","Resource":"arn:aws:rds"}`, allowed: true},
		{rule: "a resource of another region", identity: `{"Effect":"Allow","Action":"*","Resource":"arn:aws:rds:us-west-2:111111111111:db:orders"}`, layer: iam.LayerIdentity},
		{rule: "NotAction allows all others", identity: `{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}`, allowed: true},
		{rule: "NotAction spares what it names", identity: `{"Effect":"Allow","NotAction":"rds:*","Resource":"*"}`, layer: iam.LayerIdentity},
		{rule: "NotResource spares what it names", identity: `{"Effect":"Allow","Action":"*","NotResource":"arn:aws:rds:*:*:db:orders"}`, layer: iam.LayerIdentity},
		{rule: "NotResource allows all others", identity: `{"Effect":"Allow","Action":"*","NotResource":"arn:aws:rds:*:*:db:other"}`, allowed: true},
		{rule: "an explicit deny beats an allow", identity: all + `,{"Effect":"Deny","Action":"rds:Modify*","Resource":"*"}`, layer: iam.LayerIdentity, explicit: true},
		{rule: "a deny about something else does not", identity: all + `,{"Effect":"Deny","Action":"rds:Delete*","Resource":"*"}`, allowed: true},
		{rule: "a boundary allows nothing by itself", boundary: all, layer: iam.LayerIdentity},
		{rule: "a boundary limits", identity: all, boundary: `{"Effect":"Allow","Action":"iam:*","Resource":"*"}`, layer: iam.LayerBoundary},
		{rule: "identity and boundary together allow", identity: all, boundary: `{"Effect":"Allow","Action":"rds:*","Resource":"*"}`, allowed: true},
		{rule: "a deny in a boundary", identity: all, boundary: all + `,{"Effect":"Deny","Action":"rds:*","Resource":"*"}`, layer: iam.LayerBoundary, explicit: true},
		{rule: "a session policy limits", identity: all, session: `{"Effect":"Allow","Action":"iam:*","Resource":"*"}`, layer: iam.LayerSession},
		{rule: "a session policy allows nothing by itself", session: all, layer: iam.LayerIdentity},
		{rule: "all three together allow", identity: all, boundary: all, session: all, allowed: true},
		{rule: "a deny in a session policy", identity: all, session: all + `,{"Effect":"Deny","Action":"rds:*","Resource":"*"}`, layer: iam.LayerSession, explicit: true},
		{rule: "a variable in a resource", identity: `{"Effect":"Allow","Action":"*","Resource":"arn:aws:rds:us-west-1:111111111111:db:${aws:PrincipalTag/db}"}`, allowed: true},
		{rule: "a variable without a value matches nothing", identity: `{"Effect":"Allow","Action":"*","Resource":"arn:aws:rds:us-west-1:111111111111:db:${aws:PrincipalTag/none}*"}`, layer: iam.LayerIdentity},
		{rule: "a variable with a default", identity: `{"Effect":"Allow","Action":"*","Resource":"arn:aws:rds:us-west-1:111111111111:db:${aws:PrincipalTag/none, 'orders'}"}`, allowed: true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			caller := iam.Caller{Partition: "aws", Account: "111111111111", ARN: session, RoleARN: role}
			if c.identity != "" {
				caller.Identity = []iam.Source{{Name: "inline", Policy: policy(t, iam.Identity, statements(c.identity))}}
			}
			if c.boundary != "" {
				caller.Boundary = &iam.Source{Name: "boundary", Policy: policy(t, iam.Identity, statements(c.boundary))}
			}
			if c.session != "" {
				caller.Session = []iam.Source{{Name: "session", Policy: policy(t, iam.Identity, statements(c.session))}}
			}
			d := iam.Evaluate(caller, iam.Request{Action: "rds:ModifyDBInstance", Resource: database,
				Context: iam.Values{"aws:PrincipalTag/db": {"orders"}}})
			if d.Allowed != c.allowed || d.Explicit != c.explicit || !c.allowed && d.Layer != c.layer {
				t.Errorf("got %+v", d)
			}
			if d.Allowed && d.Statement == "" {
				t.Error("nothing says which statement allowed it")
			}
		})
	}
	t.Run("the root of an account needs no policy", func(t *testing.T) {
		if d := iam.Evaluate(iam.Caller{Root: true}, iam.Request{Action: "rds:X", Resource: "*"}); !d.Allowed {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("variables are plain text in version 2008-10-17", func(t *testing.T) {
		old := policy(t, iam.Identity, `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:rds:*:*:db:${aws:username}"}}`)
		d := iam.Evaluate(iam.Caller{Identity: []iam.Source{{Name: "old", Policy: old}}},
			iam.Request{Action: "rds:X", Resource: "arn:aws:rds:us-west-1:111111111111:db:alice", Context: iam.Values{"aws:username": {"alice"}}})
		if d.Allowed {
			t.Errorf("got %+v", d)
		}
	})
}

func TestConditions(t *testing.T) {
	context := iam.Values{"k:one": {"Blue"}, "k:many": {"a", "b"}, "k:empty": {}, "k:n": {"5"}, "k:b": {"true"}, "k:ip": {"10.1.2.3"},
		"k:arn": {role}, "k:when": {"2026-01-02T00:00:00Z"}, "aws:username": {"alice"}, "k:user": {"alice"}}
	for _, c := range []struct {
		rule, condition string
		holds           bool
	}{
		{"equal strings", `"StringEquals":{"k:one":"Blue"}`, true},
		{"names of keys ignore case", `"StringEquals":{"K:One":"Blue"}`, true},
		{"values keep case", `"StringEquals":{"k:one":"blue"}`, false},
		{"unless told otherwise", `"StringEqualsIgnoreCase":{"k:one":"blue"}`, true},
		{"one of several values", `"StringEquals":{"k:one":["Red","Blue"]}`, true},
		{"all operators must hold", `"StringEquals":{"k:one":"Blue"},"Bool":{"k:b":"false"}`, false},
		{"all keys must hold", `"StringEquals":{"k:one":"Blue","k:user":"bob"}`, false},
		{"not equal", `"StringNotEquals":{"k:one":["Red","Green"]}`, true},
		{"not equal fails on any match", `"StringNotEquals":{"k:one":["Red","Blue"]}`, false},
		{"an absent key equals nothing", `"StringEquals":{"k:none":"x"}`, false},
		{"an absent key differs from all", `"StringNotEquals":{"k:none":"x"}`, true},
		{"IfExists passes an absent key", `"StringEqualsIfExists":{"k:none":"x"}`, true},
		{"IfExists compares a present one", `"StringEqualsIfExists":{"k:one":"x"}`, false},
		{"wildcards", `"StringLike":{"k:one":"B*e"}`, true},
		{"StringEquals has no wildcards", `"StringEquals":{"k:one":"B*e"}`, false},
		{"not like", `"StringNotLike":{"k:one":"B*"}`, false},
		{"a boolean may be written bare", `"Bool":{"k:b":true}`, true},
		{"an ARN by parts", `"ArnLike":{"k:arn":"arn:aws:iam::*:role/team/*"}`, true},
		{"an ARN's star stays in its part", `"ArnLike":{"k:arn":"arn:*:role/team/agent"}`, false},
		{"ArnNotEquals", `"ArnNotEquals":{"k:arn":"` + role + `"}`, false},
		{"numbers", `"NumericLessThan":{"k:n":6}`, true},
		{"numbers at the limit", `"NumericLessThan":{"k:n":5}`, false},
		{"no number", `"NumericEquals":{"k:one":5}`, false},
		{"dates", `"DateGreaterThan":{"k:when":"2026-01-01T00:00:00Z"}`, true},
		{"networks", `"IpAddress":{"k:ip":["192.168.0.0/16","10.0.0.0/8"]}`, true},
		{"not in a network", `"NotIpAddress":{"k:ip":"10.0.0.0/8"}`, false},
		{"Null asks for absence", `"Null":{"k:none":"true"}`, true},
		{"Null asks for presence", `"Null":{"k:one":"false"}`, true},
		{"an empty key counts as absent", `"Null":{"k:empty":"false"}`, false},
		{"ForAnyValue needs one", `"ForAnyValue:StringEquals":{"k:many":["b","c"]}`, true},
		{"ForAnyValue with none in common", `"ForAnyValue:StringEquals":{"k:many":["c"]}`, false},
		{"ForAnyValue of nothing", `"ForAnyValue:StringEquals":{"k:none":["c"]}`, false},
		{"ForAllValues needs all", `"ForAllValues:StringEquals":{"k:many":["a","b","c"]}`, true},
		{"ForAllValues with one too many", `"ForAllValues:StringEquals":{"k:many":["a"]}`, false},
		{"ForAllValues of nothing", `"ForAllValues:StringEquals":{"k:none":["a"]}`, true},
		{"a variable as value", `"StringEquals":{"k:user":"${aws:username}"}`, true},
		{"a variable without a value", `"StringEquals":{"k:user":"${aws:none}"}`, false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			p := policy(t, iam.Identity, statements(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{`+c.condition+`}}`))
			d := iam.Evaluate(iam.Caller{Identity: []iam.Source{{Name: "p", Policy: p}}}, iam.Request{Action: "a:b", Resource: "*", Context: context})
			if d.Allowed != c.holds {
				t.Errorf("got %v", d.Allowed)
			}
		})
	}
}

func TestTrustPolicies(t *testing.T) {
	const may = `{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}`
	trust := func(principal string) string {
		return `{"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole"}`
	}
	const own, other = "111111111111", "222222222222"
	for _, c := range []struct {
		rule, trust, identity, boundary, owner string
		user                                   bool // the caller is a user; otherwise a role's session
		allowed                                bool
		layer                                  iam.Layer
	}{
		{rule: "same account, role named: no identity policy is needed", owner: own, trust: trust(`{"AWS":"` + role + `"}`), allowed: true},
		{rule: "same account, session named", owner: own, trust: trust(`{"AWS":"` + session + `"}`), allowed: true},
		{rule: "same account, user named", owner: own, user: true, trust: trust(`{"AWS":["` + user + `"]}`), allowed: true},
		{rule: "a user named by ARN is not held back by its boundary", owner: own, user: true, trust: trust(`{"AWS":"` + user + `"}`), boundary: `{"Effect":"Allow","Action":"rds:*","Resource":"*"}`, allowed: true},
		{rule: "a role named by ARN is held back by its boundary", owner: own, trust: trust(`{"AWS":"` + role + `"}`), boundary: `{"Effect":"Allow","Action":"rds:*","Resource":"*"}`, layer: iam.LayerBoundary},
		{rule: "same account, account named, without identity policy", owner: own, trust: trust(`{"AWS":"arn:aws:iam::111111111111:root"}`), layer: iam.LayerIdentity},
		{rule: "same account, account named, with identity policy", owner: own, trust: trust(`{"AWS":"111111111111"}`), identity: may, allowed: true},
		{rule: "same account, everyone named, without identity policy", owner: own, trust: trust(`"*"`), layer: iam.LayerIdentity},
		{rule: "another role is named", owner: own, trust: trust(`{"AWS":"arn:aws:iam::111111111111:role/other"}`), identity: may, layer: iam.LayerResource},
		{rule: "the role is named without its path", owner: own, trust: trust(`{"AWS":"arn:aws:iam::111111111111:role/agent"}`), identity: may, layer: iam.LayerResource},
		{rule: "cross account, role named, without identity policy", owner: other, trust: trust(`{"AWS":"` + role + `"}`), layer: iam.LayerIdentity},
		{rule: "cross account, both sides", owner: other, trust: trust(`{"AWS":"` + role + `"}`), identity: may, allowed: true},
		{rule: "cross account, account named", owner: other, trust: trust(`{"AWS":"arn:aws:iam::111111111111:root"}`), identity: may, allowed: true},
		{rule: "cross account, not trusted", owner: other, trust: trust(`{"AWS":"333333333333"}`), identity: may, layer: iam.LayerResource},
		{rule: "cross account, root of another partition", owner: other, trust: trust(`{"AWS":"arn:aws-cn:iam::111111111111:root"}`), identity: may, layer: iam.LayerResource},
		{rule: "a deny in the trust policy", owner: own, trust: trust(`{"AWS":"`+role+`"}`) + `,{"Effect":"Deny","Principal":"*","Action":"sts:*"}`, identity: may, layer: iam.LayerResource},
		{rule: "a deny in the identity policy", owner: own, trust: trust(`{"AWS":"` + role + `"}`), identity: `{"Effect":"Deny","Action":"sts:*","Resource":"*"}`, layer: iam.LayerIdentity},
		{rule: "only a service is trusted", owner: own, trust: trust(`{"Service":"ec2.amazonaws.com"}`), identity: may, layer: iam.LayerResource},
		{rule: "a condition that fails", owner: own, trust: `{"Effect":"Allow","Principal":{"AWS":"` + role + `"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"x"}}}`, identity: may, layer: iam.LayerResource},
		{rule: "a condition that holds", owner: own, trust: `{"Effect":"Allow","Principal":{"AWS":"` + role + `"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"right"}}}`, allowed: true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			caller := iam.Caller{Partition: "aws", Account: own, ARN: session, RoleARN: role}
			if c.user {
				caller.ARN, caller.RoleARN = user, ""
			}
			if c.identity != "" {
				caller.Identity = []iam.Source{{Name: "inline", Policy: policy(t, iam.Identity, statements(c.identity))}}
			}
			if c.boundary != "" {
				caller.Boundary = &iam.Source{Name: "boundary", Policy: policy(t, iam.Identity, statements(c.boundary))}
			}
			d := iam.EvaluateResource(caller, iam.Request{Action: "sts:AssumeRole", Resource: target, Context: iam.Values{"sts:ExternalId": {"right"}}},
				iam.Source{Name: "trust", Policy: policy(t, iam.Trust, statements(c.trust))}, c.owner)
			if d.Allowed != c.allowed || !c.allowed && d.Layer != c.layer {
				t.Errorf("got %+v", d)
			}
		})
	}
}
