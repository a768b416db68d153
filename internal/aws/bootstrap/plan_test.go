package bootstrap_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/aws/bootstrap"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/iampolicy"
	"sallyport/internal/fault"
)

const (
	everything = iampolicy.Discovery | iampolicy.Metadata | iampolicy.Access
	access     = "arn:aws:iam::123456789012:role/access"
	other      = "arn:aws:iam::210987654321:role/team/other"
)

func identity(t *testing.T, kind bootstrap.Kind, text string) bootstrap.Identity {
	t.Helper()
	id, err := bootstrap.ParseIdentity(kind, text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// permissions are the plan's, as "action on resource".
func permissions(p bootstrap.Plan) []string {
	var all []string
	for _, action := range p.Actions {
		for _, s := range action.Document.Statements {
			for _, a := range s.Actions {
				for _, r := range s.Resources {
					all = append(all, a+" on "+r)
				}
			}
		}
	}
	return all
}

func TestIdentities(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"TeleportUser":       `user "TeleportUser"`,
		"/team/TeleportUser": `user "team/TeleportUser"`,
		"team/TeleportUser":  `user "team/TeleportUser"`,
		"user/TeleportUser":  `user "TeleportUser"`,
		"arn:aws-cn:iam::123456789012:user/team/TeleportUser": "user arn:aws-cn:iam::123456789012:user/team/TeleportUser",
	} {
		if got := identity(t, bootstrap.User, text).String(); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "a b", "arn:aws:iam::123456789012:role/x", "arn:aws:iam::1:user/x", "arn:aws:sts::123456789012:assumed-role/x/y", "arn:aws-xx:iam::123456789012:user/x", "*", "x/"} {
		if id, err := bootstrap.ParseIdentity(bootstrap.User, text); !fault.Is(err, fault.BadParameter) {
			t.Errorf("%q is %v, %v; want an error", text, id, err)
		}
	}
}

func TestWhoGetsWhat(t *testing.T) {
	t.Parallel()
	own := bootstrap.Entry{Types: []endpoint.Type{endpoint.RDS}}
	through := bootstrap.Entry{Types: []endpoint.Type{endpoint.Redshift}, Role: access}
	far := bootstrap.Entry{Types: []endpoint.Type{endpoint.MemoryDB}, Role: other}
	const rds = "rds-db:connect on *"
	const redshift = "redshift:GetClusterCredentials on *"
	assume := []string{"sts:AssumeRole on " + access, "sts:AssumeRole on " + other}
	for name, c := range map[string]struct {
		request bootstrap.Request
		target  bootstrap.Identity
		has     []string
		hasNot  []string
	}{
		"no roles in the configuration": {bootstrap.Request{Entries: []bootstrap.Entry{own}}, identity(t, bootstrap.Role, "short"), []string{rds}, []string{"sts:"}},
		"the identity of the service": {bootstrap.Request{Entries: []bootstrap.Entry{own, through, far}}, identity(t, bootstrap.Role, "arn:aws:iam::123456789012:role/service"),
			append([]string{rds}, assume...), []string{redshift, "memorydb:"}},
		"a user": {bootstrap.Request{Entries: []bootstrap.Entry{own, through, far}}, identity(t, bootstrap.User, "short"),
			append([]string{rds}, assume...), []string{redshift, "memorydb:"}},
		"a role that is assumed": {bootstrap.Request{Entries: []bootstrap.Entry{own, through, far}}, identity(t, bootstrap.Role, access),
			[]string{redshift}, []string{rds, "memorydb:", "sts:"}},
		"a role that is assumed, with its users": {bootstrap.Request{Entries: []bootstrap.Entry{through}, UserRoles: []string{"reader", other}}, identity(t, bootstrap.Role, access),
			[]string{redshift, "sts:AssumeRole on arn:aws:iam::123456789012:role/reader", "sts:AssumeRole on " + other}, nil},
		"a role of the same name in another account": {bootstrap.Request{Entries: []bootstrap.Entry{through}}, identity(t, bootstrap.Role, "arn:aws:iam::210987654321:role/access"),
			assume[:1], []string{redshift}},
		"a role of the same name under a path": {bootstrap.Request{Entries: []bootstrap.Entry{through}}, identity(t, bootstrap.Role, "arn:aws:iam::123456789012:role/team/access"),
			assume[:1], []string{redshift}},
		"roles of dynamic databases": {bootstrap.Request{OtherRoles: []string{other, access, access}}, identity(t, bootstrap.User, "short"), assume, nil},
		"a service that keeps its policy": {bootstrap.Request{KeepsInline: true, Entries: []bootstrap.Entry{{Types: []endpoint.Type{endpoint.RDS, endpoint.Redshift, endpoint.MemoryDB}}, far}}, identity(t, bootstrap.Role, "arn:aws:iam::123456789012:role/service"),
			[]string{"rds:DescribeDBInstances on *", "rds:ModifyDBInstance on *", "redshift:DescribeClusters on *", "memorydb:DescribeUsers on *",
				"iam:PutRolePolicy on arn:aws:iam::123456789012:role/service", "iam:GetRolePolicy on arn:aws:iam::123456789012:role/service", "iam:DeleteRolePolicy on arn:aws:iam::123456789012:role/service", assume[1]},
			[]string{rds, redshift, "memorydb:Connect", "iam:PutRolePolicy on " + other}},
		"a user that keeps its policy": {bootstrap.Request{KeepsInline: true, Entries: []bootstrap.Entry{own}}, identity(t, bootstrap.User, "arn:aws:iam::123456789012:user/u"),
			[]string{"iam:PutUserPolicy on arn:aws:iam::123456789012:user/u"}, []string{rds}},
		"a role that is assumed and keeps its policy": {bootstrap.Request{KeepsInline: true, Entries: []bootstrap.Entry{own, through}}, identity(t, bootstrap.Role, access),
			[]string{"iam:PutRolePolicy on " + access}, []string{redshift, rds}},
		"a service whose databases are all behind roles": {bootstrap.Request{KeepsInline: true, Entries: []bootstrap.Entry{through}}, identity(t, bootstrap.Role, "arn:aws:iam::123456789012:role/service"),
			assume[:1], []string{"iam:"}},
		"a role of dynamic databases that keeps its policy": {bootstrap.Request{KeepsInline: true, OtherRoles: []string{access}}, identity(t, bootstrap.Role, access),
			[]string{"iam:PutRolePolicy on " + access}, nil},
		"a role of dynamic databases": {bootstrap.Request{Entries: []bootstrap.Entry{own}, OtherRoles: []string{access}}, identity(t, bootstrap.Role, access), nil, []string{rds, "sts:"}},
		"session tags are for roles of users": {bootstrap.Request{Entries: []bootstrap.Entry{{Types: []endpoint.Type{endpoint.DynamoDB}, SessionTags: true}, through}, UserRoles: []string{"reader"}},
			identity(t, bootstrap.Role, "arn:aws:iam::123456789012:role/service"),
			[]string{"sts:TagSession on arn:aws:iam::123456789012:role/reader", assume[0]}, []string{"sts:TagSession on " + access}},
		"session tags without a role that is named": {bootstrap.Request{Entries: []bootstrap.Entry{{Types: []endpoint.Type{endpoint.DynamoDB}, SessionTags: true}}}, identity(t, bootstrap.User, "short"),
			[]string{"sts:TagSession on *"}, []string{"sts:AssumeRole"}},
		"a discovery service finds and does not log in": {bootstrap.Request{Entries: []bootstrap.Entry{own}, Purposes: iampolicy.Discovery}, identity(t, bootstrap.User, "short"),
			[]string{"rds:DescribeDBInstances on *"}, []string{rds, "rds:Modify"}},
		"what is not known is a star": {bootstrap.Request{Entries: []bootstrap.Entry{{Types: []endpoint.Type{endpoint.MemoryDB}}}, UserRoles: []string{"reader"}}, bootstrap.DefaultUser(),
			[]string{"secretsmanager:CreateSecret on arn:*:secretsmanager:*:*:secret:teleport/*", "sts:AssumeRole on arn:*:iam::*:role/reader"}, nil},
		"secrets are in the account of the target": {bootstrap.Request{Entries: []bootstrap.Entry{{Types: []endpoint.Type{endpoint.ElastiCache}, SecretPrefix: "mine/", KMSKey: "k"}}},
			identity(t, bootstrap.User, "arn:aws-us-gov:iam::123456789012:user/u"),
			[]string{"secretsmanager:CreateSecret on arn:aws-us-gov:secretsmanager:*:123456789012:secret:mine/*", "kms:Decrypt on arn:aws-us-gov:kms:*:123456789012:key/k"}, nil},
	} {
		if c.request.Purposes == 0 {
			c.request.Purposes = everything
		}
		plan, err := bootstrap.Make(c.request, c.target)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := permissions(plan)
		for _, want := range c.has {
			if !slices.Contains(got, want) {
				t.Errorf("%s: %q is not in %q", name, want, got)
			}
		}
		for _, no := range c.hasNot {
			if slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, no) }) {
				t.Errorf("%s: %q is in %q", name, no, got)
			}
		}
		if len(c.has) == 0 && len(plan.Actions) > 0 || len(c.has) > 0 && len(plan.Actions) != 2 {
			t.Errorf("%s: %d actions", name, len(plan.Actions))
		}
	}
}

func TestPlansThatCannotBeMade(t *testing.T) {
	t.Parallel()
	through := []bootstrap.Entry{{Types: []endpoint.Type{endpoint.RDS}, Role: access}}
	var many []string
	for n := range 200 {
		many = append(many, fmt.Sprintf("arn:aws:iam::123456789012:role/databases/reader-%03d", n))
	}
	for name, c := range map[string]struct {
		request bootstrap.Request
		target  bootstrap.Identity
		want    string
	}{
		"a short name that may be one of the roles": {bootstrap.Request{Entries: through}, identity(t, bootstrap.Role, "access"), "give the full ARN of the role"},
		"a name that no policy can have":            {bootstrap.Request{Entries: through, PolicyName: "a b"}, identity(t, bootstrap.User, "u"), "not the name of a policy"},
		"a name that no role can have":              {bootstrap.Request{Entries: through, UserRoles: []string{"a b"}}, identity(t, bootstrap.User, "u"), `"a b" is neither the name of a role`},
		"more than a policy may hold":               {bootstrap.Request{Entries: through, UserRoles: many}, identity(t, bootstrap.User, "u"), "2. 89 roles, from arn:aws:iam::123456789012:role/databases/reader-"},
	} {
		if c.request.Purposes == 0 {
			c.request.Purposes = everything
		}
		if plan, err := bootstrap.Make(c.request, c.target); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want an error with %q", name, plan, err, c.want)
		}
	}
}

func TestPrintedPlan(t *testing.T) {
	t.Parallel()
	request := bootstrap.Request{Entries: []bootstrap.Entry{{Types: []endpoint.Type{endpoint.RDSProxy, endpoint.RedshiftServerless}}}, Purposes: iampolicy.Access, PolicyName: "Mine"}
	plan, err := bootstrap.Make(request, identity(t, bootstrap.Role, "arn:aws:iam::123456789012:role/service"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `1. Create IAM policy "Mine":
{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "rds-db:connect",
            "Resource": "*"
        }
    ]
}

2. Attach IAM policy "Mine" to role arn:aws:iam::123456789012:role/service.

Note: Database users of Redshift Serverless are or can be IAM roles. Name those to be used with --assumes-roles, so that they may be assumed.
`
	if got := plan.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	request.NoAttach = true
	if plan, err := bootstrap.Make(request, bootstrap.DefaultUser()); err != nil || len(plan.Actions) != 1 {
		t.Errorf("without attaching: %v, %v", plan, err)
	}
}
