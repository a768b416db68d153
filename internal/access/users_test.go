package access_test

import (
	"slices"
	"testing"

	"sallyport/internal/access"
	"sallyport/internal/resource"
)

// TestUsersThatAreRolesOfAWS has rules that name one way to write a role hold for all, except that where the account of
// the database is not known a rule does not allow what may be a role of another.
func TestUsersThatAreRolesOfAWS(t *testing.T) {
	t.Parallel()
	const arn, other = "arn:aws:iam::222222222222:role/analyst", "arn:aws:iam::333333333333:role/analyst"
	serverless := resource.Database{Spec: resource.DatabaseSpec{Protocol: "postgres", URI: "w.222222222222.us-west-1.redshift-serverless.amazonaws.com:5439", AWS: resource.AWS{AccountID: "222222222222"}}}
	documents := resource.Database{Spec: resource.DatabaseSpec{Protocol: "mongodb", URI: "books.cluster-abcdefghijkl.us-west-1.docdb.amazonaws.com:27017"}}
	throughRole, described := documents, documents
	throughRole.Spec.AWS.AssumeRoleARN = "arn:aws:iam::222222222222:role/databases"
	described.Status.AWS.AccountID = "222222222222"
	redshift := resource.Database{Spec: resource.DatabaseSpec{Protocol: "postgres", URI: "c.abcdefghijkl.us-west-1.redshift.amazonaws.com:5439", AWS: resource.AWS{AccountID: "222222222222"}}}
	rds := resource.Database{Spec: resource.DatabaseSpec{Protocol: "postgres", URI: "db.abcdefghijkl.us-west-1.rds.amazonaws.com:5432", AWS: resource.AWS{AccountID: "222222222222"}}}
	for _, test := range []struct {
		name         string
		db           resource.Database
		listed, user string
		allows       bool // a rule that allows what is listed
		denies       bool // one that denies it
	}{
		{"a rule with the ARN means the short name", serverless, arn, "analyst", true, true},
		{"a rule with the ARN means role/", serverless, arn, "role/analyst", true, true},
		{"a rule with the short name means the ARN", serverless, "analyst", arn, true, true},
		{"it does not mean a role of another account", serverless, "analyst", other, false, false},
		{"an asterisk means any", serverless, "*", other, true, true},
		{"the account is the one of the role to assume", throughRole, "analyst", arn, true, true},
		{"the account is the one that was found out", described, "analyst", arn, true, true},
		{"without an account a rule denies what it may mean", documents, "analyst", other, false, true},
		{"without an account the other way round", documents, arn, "analyst", false, true},
		{"a bare name of Redshift is a user there", redshift, arn, "analyst", false, false},
		{"role/ of Redshift is a role", redshift, arn, "role/analyst", true, true},
		{"users of RDS are names", rds, arn, "analyst", false, false},
	} {
		to := access.Target{Database: &test.db, Labels: map[string]string{"env": "prod"}, User: test.user, Name: "dev"}
		allow := role(t, "a", `{allow: {db_labels: {'*': '*'}, db_users: ["`+test.listed+`"], db_names: ['*']}}`)
		if got := access.Check(access.Caller{User: "alice", Roles: []*resource.Role{allow}}, to); got.Allowed != test.allows {
			t.Errorf("%s: a rule that allows it: %+v", test.name, got)
		}
		everybody := role(t, "e", `{allow: {db_labels: {'*': '*'}, db_users: ['*'], db_names: ['*']}}`)
		deny := role(t, "d", `{deny: {db_users: ["`+test.listed+`"]}}`)
		if got := access.Check(access.Caller{User: "alice", Roles: []*resource.Role{everybody, deny}}, to); got.Allowed == test.denies {
			t.Errorf("%s: a rule that denies it: %+v", test.name, got)
		}
		if test.denies {
			named := role(t, "n", `{allow: {db_labels: {'*': '*'}, db_users: ["`+test.user+`"], db_names: ['*']}}`)
			if users, _ := access.AllowedUsers(access.Caller{User: "alice", Roles: []*resource.Role{named, deny}}, &test.db, to.Labels); slices.Contains(users, test.user) {
				t.Errorf("%s: %q is listed as allowed", test.name, users)
			}
		}
	}
}
