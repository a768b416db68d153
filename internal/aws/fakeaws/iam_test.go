package fakeaws_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"sallyport/internal/aws/fakeaws"
)

const everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

func (c *cloud) iam(keys fakeaws.Keys) *iam.Client {
	config := c.config(keys)
	config.Region = "us-east-1"
	return iam.NewFromConfig(config)
}

func getRole(t *testing.T, c *cloud, keys fakeaws.Keys, name string) error {
	t.Helper()
	_, err := c.iam(keys).GetRole(t.Context(), &iam.GetRoleInput{RoleName: &name})
	return err
}

// administrator gives a client that may do everything.
func (c *cloud) administrator(t *testing.T) *iam.Client {
	t.Helper()
	return c.iam(addUser(t, c.account, "administrator", everything).CreateKeys())
}

// document is a policy whose size, without white space, is exactly n bytes.
func document(n int) string {
	const head, tail = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"rds-db:connect","Resource":"arn:aws:rds-db:us-west-1:111111111111:dbuser:`, `}]}`
	return head + strings.Repeat("x", n-len(head)-len(tail)-1) + "\"\n\t  " + tail
}

func TestInlinePolicies(t *testing.T) {
	c := newCloud(t, fakeaws.Config{})
	admin := c.administrator(t)
	addRole(t, c.account, "agent", trusting(agentTrust))
	addUser(t, c.account, "alice")
	ctx := t.Context()
	putRole := func(name, document string) error {
		_, err := admin.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("agent"), PolicyName: &name, PolicyDocument: &document})
		return err
	}
	putUser := func(name, document string) error {
		_, err := admin.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("alice"), PolicyName: &name, PolicyDocument: &document})
		return err
	}
	if err := putRole("one", document(10240)); err != nil {
		t.Errorf("a role's policies may have 10240 bytes: %v", err)
	}
	if err := putRole("one", document(10241)); code(t, err) != "LimitExceeded" || !strings.Contains(err.Error(), "Maximum policy size of 10240 bytes exceeded for role agent") {
		t.Errorf("one more: %v", err)
	}
	if err := putRole("two", document(200)); code(t, err) != "LimitExceeded" {
		t.Errorf("the limit is for all together: %v", err)
	}
	if err := putUser("one", document(2048)); err != nil {
		t.Errorf("a user's may have 2048: %v", err)
	}
	if err := putUser("one", document(2049)); code(t, err) != "LimitExceeded" || !strings.Contains(err.Error(), "Maximum policy size of 2048 bytes exceeded for user alice") {
		t.Errorf("one more: %v", err)
	}
	if err := putRole(strings.Repeat("n", 129), document(200)); code(t, err) != "ValidationError" {
		t.Errorf("a name of 129: %v", err)
	}
	if err := putRole("bad", "{}"); code(t, err) != "MalformedPolicyDocument" {
		t.Errorf("a broken document: %v", err)
	}
	out, err := admin.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: aws.String("agent"), PolicyName: aws.String("one")})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(*out.PolicyDocument, "%7B%22Version%22") {
		t.Errorf("documents come URL-encoded, got %.40s", *out.PolicyDocument)
	}
	if text, err := url.QueryUnescape(*out.PolicyDocument); err != nil || text != document(10240) {
		t.Errorf("not what was put: %v", err)
	}
	if _, err := admin.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: aws.String("agent"), PolicyName: aws.String("one")}); err != nil {
		t.Error(err)
	}
	_, err = admin.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: aws.String("agent"), PolicyName: aws.String("one")})
	if code(t, err) != "NoSuchEntity" || !strings.Contains(err.Error(), "The role policy with name one cannot be found.") {
		t.Errorf("after deletion: %v", err)
	}
}

func TestProtectedRolesCannotBeChanged(t *testing.T) {
	c := newCloud(t, fakeaws.Config{})
	admin := c.administrator(t)
	addRole(t, c.account, "AWSReservedSSO_Admin_0123456789abcdef", trusting(agentTrust))
	_, err := admin.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("AWSReservedSSO_Admin_0123456789abcdef"), PolicyName: aws.String("p"), PolicyDocument: aws.String(document(200))})
	if code(t, err) != "UnmodifiableEntity" || !strings.Contains(err.Error(), "Cannot perform the operation on the protected role 'AWSReservedSSO_Admin_0123456789abcdef'") {
		t.Errorf("got %v", err)
	}
}

func TestManagedPolicies(t *testing.T) {
	c := newCloud(t, fakeaws.Config{})
	admin := c.administrator(t)
	ctx := t.Context()
	create := func(name, document string) (string, error) {
		out, err := admin.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: &document})
		if err != nil {
			return "", err
		}
		return *out.Policy.Arn, nil
	}
	if _, err := create("large", document(6145)); code(t, err) != "LimitExceeded" || !strings.Contains(err.Error(), "Cannot exceed quota for PolicySize: 6144") {
		t.Errorf("6145 bytes: %v", err)
	}
	arn, err := create("DatabaseAccess", document(6144))
	if err != nil || arn != "arn:aws:iam::111111111111:policy/DatabaseAccess" {
		t.Fatalf("got %q, %v", arn, err)
	}
	if _, err := create("DatabaseAccess", document(200)); code(t, err) != "EntityAlreadyExists" {
		t.Errorf("the name is taken: %v", err)
	}
	version := func() error {
		_, err := admin.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: &arn, PolicyDocument: aws.String(document(300)), SetAsDefault: true})
		return err
	}
	for range 4 {
		if err := version(); err != nil {
			t.Fatal(err)
		}
	}
	if err := version(); code(t, err) != "LimitExceeded" || !strings.Contains(err.Error(), "up to 5 versions") {
		t.Errorf("the sixth version: %v", err)
	}
	if _, err := admin.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: &arn, VersionId: aws.String("v5")}); code(t, err) != "DeleteConflict" {
		t.Errorf("the default version: %v", err)
	}
	if _, err := admin.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: &arn, VersionId: aws.String("v1")}); err != nil {
		t.Error(err)
	}
	if err := version(); err != nil {
		t.Errorf("after deletion of the oldest: %v", err)
	}
	list, err := admin.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: &arn})
	if err != nil || len(list.Versions) != 5 || *list.Versions[0].VersionId != "v6" || !list.Versions[0].IsDefaultVersion {
		t.Errorf("got %+v, %v", list, err)
	}
	paged, err := admin.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: &arn, MaxItems: aws.Int32(2)})
	if err != nil || len(paged.Versions) != 2 || !paged.IsTruncated {
		t.Fatalf("got %+v, %v", paged, err)
	}
	rest, err := admin.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: &arn, Marker: paged.Marker})
	if err != nil || len(rest.Versions) != 3 || rest.IsTruncated {
		t.Errorf("got %+v, %v", rest, err)
	}
	_, err = admin.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: aws.String("arn:aws:iam::111111111111:policy/none")})
	if code(t, err) != "NoSuchEntity" || !strings.Contains(err.Error(), "Policy arn:aws:iam::111111111111:policy/none was not found.") {
		t.Errorf("no policy: %v", err)
	}
}

func TestAttachedPoliciesAndBoundariesHaveAnEffect(t *testing.T) {
	c := newCloud(t, fakeaws.Config{})
	admin := c.administrator(t)
	ctx := t.Context()
	agent := addRole(t, c.account, "agent", trusting(agentTrust))
	keys := agent.Session("s1", time.Hour)
	if got := code(t, getRole(t, c, keys, "agent")); got != "AccessDenied" {
		t.Fatalf("before: %q", got)
	}
	arn, err := c.account.AddPolicy("read", allowing(`"iam:GetRole"`, "*"))
	if err != nil {
		t.Fatal(err)
	}
	narrow, err := c.account.AddPolicy("narrow", allowing(`"iam:GetUser"`, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("agent"), PolicyArn: &arn}); err != nil {
		t.Fatal(err)
	}
	if got := code(t, getRole(t, c, keys, "agent")); got != "" {
		t.Errorf("attached: %q", got)
	}
	if _, err := admin.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: aws.String("agent"), PermissionsBoundary: &narrow}); err != nil {
		t.Fatal(err)
	}
	if err := getRole(t, c, keys, "agent"); code(t, err) != "AccessDenied" || !strings.Contains(err.Error(), "because no permissions boundary allows the iam:GetRole action") {
		t.Errorf("with a boundary: %v", err)
	}
	checks := c.Calls("iam", "GetRole")[1].Checks
	if fmt.Sprint(checks) != "[{iam:GetRole arn:aws:iam::111111111111:role/agent true false identity-based policy read#1}]" {
		t.Errorf("the journal says %v", checks)
	}
}

func TestChangesPropagate(t *testing.T) {
	now := &clock{}
	c := newCloud(t, fakeaws.Config{Now: now.Now, Propagation: time.Minute})
	admin := c.administrator(t)
	agent := addRole(t, c.account, "agent", trusting(agentTrust))
	keys := agent.Session("s1", time.Hour)
	put := func(document string) {
		if _, err := admin.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("agent"), PolicyName: aws.String("p"), PolicyDocument: &document}); err != nil {
			t.Fatal(err)
		}
	}
	put(everything)
	if got := code(t, getRole(t, c, keys, "agent")); got != "AccessDenied" {
		t.Errorf("at once: %q", got)
	}
	now.advance(61 * time.Second)
	if got := code(t, getRole(t, c, keys, "agent")); got != "" {
		t.Errorf("a minute later: %q", got)
	}
	put(allowing(`"rds:*"`, "*"))
	if got := code(t, getRole(t, c, keys, "agent")); got != "" {
		t.Errorf("taken away, at once: %q", got)
	}
	now.advance(61 * time.Second)
	if got := code(t, getRole(t, c, keys, "agent")); got != "AccessDenied" {
		t.Errorf("taken away, a minute later: %q", got)
	}
}
