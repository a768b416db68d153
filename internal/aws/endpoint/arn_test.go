package endpoint_test

import (
	"errors"
	"strings"
	"testing"

	"sallyport/internal/aws/endpoint"
)

func TestRolesAreReadAndPrinted(t *testing.T) {
	t.Parallel()
	for arn, want := range map[string]endpoint.Role{
		"arn:aws:iam::123456789012:role/reader":                     {Partition: aws, Account: "123456789012", Path: "/", Name: "reader"},
		"arn:aws-cn:iam::123456789012:role/team/red/reader":         {Partition: china, Account: "123456789012", Path: "/team/red/", Name: "reader"},
		"arn:aws-us-gov:iam::123456789012:role/r_+=,.@-1":           {Partition: gov, Account: "123456789012", Path: "/", Name: "r_+=,.@-1"},
		"arn:aws:iam::123456789012:role/" + strings.Repeat("a", 64): {Partition: aws, Account: "123456789012", Path: "/", Name: strings.Repeat("a", 64)},
	} {
		got, err := endpoint.ParseRole(arn)
		if err != nil || got != want || got.String() != arn {
			t.Errorf("ParseRole(%q) = %+v (%s), %v; want %+v", arn, got, got, err, want)
		}
	}
	for _, arn := range []string{
		"", "reader", "role/reader", "arn:aws:iam::123456789012:role/", "arn:aws:iam::123456789012:user/reader", "arn:aws:iam::1234:role/reader",
		"arn:aws:iam:us-east-1:123456789012:role/reader", "arn:aws:sts::123456789012:assumed-role/reader/session",
		"arn:aws-iso:iam::123456789012:role/reader", "arn:aws:s3::123456789012:role/reader", "arn:aws:iam::123456789012:role/a b",
		"arn:aws:iam::123456789012:role/a//b", "arn:aws:iam::123456789012:role//b", "arn:aws:iam::123456789012:role/b/", "arn:aws:iam::123456789012:role/b\n",
		"ARN:aws:iam::123456789012:role/reader", "arn:aws:iam::123456789012:role/" + strings.Repeat("a", 65), "arn:aws:iam::123456789012:role/" + strings.Repeat("p/", 300) + "a",
	} {
		if role, err := endpoint.ParseRole(arn); err == nil {
			t.Errorf("ParseRole(%q) = %+v, want an error", arn, role)
		}
	}
}

func TestDatabaseUsersThatAreRoles(t *testing.T) {
	t.Parallel()
	const account, assumed = "123456789012", "arn:aws:iam::222222222222:role/agent"
	known := endpoint.RoleUser{Region: "us-east-1", Account: account}
	for name, c := range map[string]struct {
		in     endpoint.RoleUser
		typ    endpoint.Type
		user   string
		want   string // "" for a user that is no role
		reason string // what the error says
	}{
		"a bare name":                             {in: known, typ: endpoint.DocumentDB, user: "reader", want: "arn:aws:iam::123456789012:role/reader"},
		"a name with role/":                       {in: known, typ: endpoint.DynamoDB, user: "role/reader", want: "arn:aws:iam::123456789012:role/reader"},
		"a name with a path":                      {in: known, typ: endpoint.Keyspaces, user: "role/team/reader", want: "arn:aws:iam::123456789012:role/team/reader"},
		"a full ARN":                              {in: known, typ: endpoint.OpenSearch, user: "arn:aws:iam::123456789012:role/reader", want: "arn:aws:iam::123456789012:role/reader"},
		"a full ARN of another account":           {in: known, typ: endpoint.OpenSearch, user: "arn:aws:iam::222222222222:role/reader", reason: "account 123456789012"},
		"a full ARN of another partition":         {in: known, typ: endpoint.OpenSearch, user: "arn:aws-cn:iam::123456789012:role/reader", reason: "partition aws,"},
		"a full ARN of a user":                    {in: known, typ: endpoint.OpenSearch, user: "arn:aws:iam::123456789012:user/reader", reason: "not the ARN of a role"},
		"a full ARN where no account is known":    {in: endpoint.RoleUser{Region: "us-east-1", CallerAccount: account}, typ: endpoint.OpenSearch, user: "arn:aws:iam::222222222222:role/reader", want: "arn:aws:iam::222222222222:role/reader"},
		"the partition of China":                  {in: endpoint.RoleUser{Region: "cn-north-1", Account: account}, typ: endpoint.DocumentDB, user: "reader", want: "arn:aws-cn:iam::123456789012:role/reader"},
		"the partition of GovCloud":               {in: endpoint.RoleUser{Region: "us-gov-west-1", Account: account}, typ: endpoint.DocumentDB, user: "reader", want: "arn:aws-us-gov:iam::123456789012:role/reader"},
		"the account of the role to assume":       {in: endpoint.RoleUser{Region: "us-east-1", AssumeRoleARN: assumed, CallerAccount: account}, typ: endpoint.DocumentDB, user: "reader", want: "arn:aws:iam::222222222222:role/reader"},
		"the caller's account for a bare name":    {in: endpoint.RoleUser{Region: "us-east-1", CallerAccount: account}, typ: endpoint.DocumentDB, user: "reader", want: "arn:aws:iam::123456789012:role/reader"},
		"the database's account first":            {in: endpoint.RoleUser{Region: "us-east-1", Account: account, AssumeRoleARN: assumed}, typ: endpoint.DocumentDB, user: "reader", want: "arn:aws:iam::123456789012:role/reader"},
		"no account known":                        {in: endpoint.RoleUser{Region: "us-east-1"}, typ: endpoint.DocumentDB, user: "reader", reason: endpoint.ErrNoAccount.Error()},
		"Redshift: a bare name is a user":         {in: known, typ: endpoint.Redshift, user: "reader"},
		"Redshift: role/ is a role":               {in: known, typ: endpoint.Redshift, user: "role/reader", want: "arn:aws:iam::123456789012:role/reader"},
		"Redshift: an ARN is a role":              {in: known, typ: endpoint.Redshift, user: "arn:aws:iam::123456789012:role/reader", want: "arn:aws:iam::123456789012:role/reader"},
		"Redshift Serverless: a bare name":        {in: known, typ: endpoint.RedshiftServerless, user: "reader", want: "arn:aws:iam::123456789012:role/reader"},
		"Redshift Serverless: IAM: is refused":    {in: known, typ: endpoint.RedshiftServerless, user: "IAM:reader", reason: "without the prefix"},
		"Redshift Serverless: IAMR: is refused":   {in: known, typ: endpoint.RedshiftServerless, user: "IAMR:reader", reason: "without the prefix"},
		"RDS has users of its own":                {in: known, typ: endpoint.RDS, user: "arn:aws:iam::123456789012:role/reader"},
		"a name that no role can have":            {in: known, typ: endpoint.DocumentDB, user: "read er", reason: "not the name of a role"},
		"a path that would be a wildcard":         {in: known, typ: endpoint.DocumentDB, user: "*/y", reason: "not the path of a role"},
		"no name":                                 {in: known, typ: endpoint.DocumentDB, user: "", reason: "not the name of a role"},
		"a name that is only the prefix":          {in: known, typ: endpoint.DocumentDB, user: "role/", reason: "not the name of a role"},
		"an account of the wrong form is refused": {in: endpoint.RoleUser{Region: "us-east-1", Account: "1234"}, typ: endpoint.DocumentDB, user: "reader", reason: "12 digits"},
	} {
		c.in.Type = c.typ
		role, isRole, err := c.in.Resolve(c.user)
		switch {
		case c.reason != "":
			if err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%s: %v, want an error with %q", name, err, c.reason)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case isRole != (c.want != "") || isRole && role.String() != c.want:
			t.Errorf("%s: %v, %v; want %q", name, role, isRole, c.want)
		}
	}
	if _, _, err := (endpoint.RoleUser{Type: endpoint.DocumentDB}).Resolve("x"); !errors.Is(err, endpoint.ErrNoAccount) {
		t.Errorf("without an account: %v, want ErrNoAccount", err)
	}
}

func TestWaysToWriteARole(t *testing.T) {
	t.Parallel()
	known := endpoint.RoleUser{Type: endpoint.DocumentDB, Region: "us-east-1", Account: "123456789012"}
	unknown := endpoint.RoleUser{Type: endpoint.DocumentDB, Region: "us-east-1"}
	redshift, redshiftUnknown, rds := known, unknown, known
	redshift.Type, redshiftUnknown.Type, rds.Type = endpoint.Redshift, endpoint.Redshift, endpoint.RDS
	const arn, other = "arn:aws:iam::123456789012:role/team/reader", "arn:aws:iam::210987654321:role/team/reader"
	for name, c := range map[string]struct {
		who         endpoint.RoleUser
		a, b        string
		same, maybe bool
	}{
		"the same words":                             {rds, "reader", "reader", true, true},
		"the ARN and the bare name":                  {known, arn, "team/reader", true, true},
		"the ARN and role/":                          {known, arn, "role/team/reader", true, true},
		"role/ and the bare name":                    {known, "role/team/reader", "team/reader", true, true},
		"another path":                               {known, arn, "reader", false, false},
		"another name":                               {known, arn, "team/writer", false, false},
		"another account":                            {known, other, "team/reader", false, false},
		"ARNs of two accounts":                       {unknown, arn, other, false, false},
		"Redshift: a bare name is no role":           {redshift, arn, "team/reader", false, false},
		"Redshift: role/ is one":                     {redshift, arn, "role/team/reader", true, true},
		"RDS: users are names of the database's own": {rds, arn, "team/reader", false, false},
		"no account known: it may be another's":      {unknown, arn, "team/reader", false, true},
		"no account known: role/ may be too":         {unknown, other, "role/team/reader", false, true},
		"no account known: another name":             {unknown, arn, "team/writer", false, false},
		"no account known: both without":             {unknown, "role/team/reader", "team/reader", true, true},
		"no account known: Redshift's bare name":     {redshiftUnknown, arn, "team/reader", false, false},
		"a name that no role can have":               {known, "read er", arn, false, false},
		"any account's":                              {known, "*", arn, false, false},
	} {
		for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			if same, maybe := c.who.Same(pair[0], pair[1]); same != c.same || maybe != c.maybe {
				t.Errorf("%s: Same(%q, %q) = %t, %t", name, pair[0], pair[1], same, maybe)
			}
		}
	}
}
