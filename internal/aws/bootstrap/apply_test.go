package bootstrap_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/bootstrap"
	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/iampolicy"
	"sallyport/internal/fault"
)

// administrator is a policy with what the commands need, and nothing else.
const administrator = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*","Action":["iam:GetRole","iam:GetUser","iam:GetPolicy",
"iam:CreatePolicy","iam:TagPolicy","iam:ListPolicyVersions","iam:CreatePolicyVersion","iam:DeletePolicyVersion","iam:AttachUserPolicy","iam:AttachRolePolicy"]}]}`

const policyARN = "arn:aws:iam::" + cloudtest.AgentAccount + ":policy/DatabaseAccess"

func open(t *testing.T, cloud *cloudtest.Cloud) *bootstrap.Admin {
	t.Helper()
	admin, err := bootstrap.Open(t.Context(), cloud.Provider())
	if err != nil {
		t.Fatal(err)
	}
	return admin
}

func planFor(t *testing.T, target bootstrap.Identity, types ...endpoint.Type) bootstrap.Plan {
	t.Helper()
	plan, err := bootstrap.Make(bootstrap.Request{Entries: []bootstrap.Entry{{Types: types}}, Purposes: iampolicy.Access, Description: "for tests"}, target)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// apply returns the titles of what was reported, with a ! before what failed.
func apply(t *testing.T, admin *bootstrap.Admin, plan bootstrap.Plan) ([]string, error) {
	t.Helper()
	var reported []string
	err := admin.Apply(t.Context(), plan, func(action bootstrap.Action, err error) {
		title := action.Title()
		if err != nil {
			title = "!" + title
		}
		reported = append(reported, title)
	})
	return reported, err
}

func TestPoliciesAreCreatedUpdatedAndAttached(t *testing.T) {
	cloud := cloudtest.New(t, nil, administrator)
	account := cloud.Account("aws", cloudtest.AgentAccount)
	service, err := account.AddRole(fakeaws.Role{Name: "service", Path: "/team/", Trust: cloudtest.Trust(account.RootARN(), "")})
	if err != nil {
		t.Fatal(err)
	}
	admin := open(t, cloud)
	target, err := admin.Complete(t.Context(), identity(t, bootstrap.Role, "service"))
	if err != nil || target.ARN() != service.ARN() {
		t.Fatalf("the role is %v, %v; want %s, with its path", target, err, service.ARN())
	}
	for round := range 7 { // two more than there are versions
		types := []endpoint.Type{endpoint.RDS}
		if round == 6 {
			types = append(types, endpoint.Redshift)
		}
		plan := planFor(t, target, types...)
		reported, err := apply(t, admin, plan)
		if want := []string{`Create IAM policy "DatabaseAccess"`, `Attach IAM policy "DatabaseAccess" to role ` + service.ARN()}; err != nil || !slices.Equal(reported, want) {
			t.Fatalf("round %d: %q, %v; want %q", round, reported, err, want)
		}
		policy := account.Policies[policyARN]
		current := policy.Versions[len(policy.Versions)-1]
		var document iampolicy.Document
		if err := json.Unmarshal([]byte(current.Document), &document); err != nil || !reflect.DeepEqual(document, plan.Actions[0].Document) {
			t.Fatalf("round %d: the policy is %s, %v", round, current.Document, err)
		}
		if current.Number != round+1 || policy.Default != current.Number || len(policy.Versions) != min(round+1, 5) {
			t.Fatalf("round %d: versions %+v, in effect is %d", round, policy.Versions, policy.Default)
		}
	}
	policy := account.Policies[policyARN]
	if value, ok := policy.Tags["teleport"]; !ok || value != "" || policy.Description != "for tests" {
		t.Errorf("tags %q, description %q", policy.Tags, policy.Description)
	}
	if policy.Versions[0].Number != 3 {
		t.Errorf("the versions left are %+v, want the last five", policy.Versions)
	}
	if !slices.Equal(service.Attached, []string{policyARN}) {
		t.Errorf("attached are %q", service.Attached)
	}
	if service.Boundary != "" {
		t.Errorf("there is a boundary, %s", service.Boundary)
	}
}

func TestTheVersionInEffectIsNotDeleted(t *testing.T) {
	cloud := cloudtest.New(t, nil, administrator)
	account := cloud.Account("aws", cloudtest.AgentAccount)
	admin := open(t, cloud)
	target := identity(t, bootstrap.Role, cloud.Agent.ARN())
	for range 5 {
		if _, err := apply(t, admin, planFor(t, target, endpoint.RDS)); err != nil {
			t.Fatal(err)
		}
	}
	cloud.Update(func() { account.Policies[policyARN].Default = 1 })
	if _, err := apply(t, admin, planFor(t, target, endpoint.RDS)); err != nil {
		t.Fatal(err)
	}
	if left := account.Policies[policyARN].Versions; left[0].Number != 1 || left[1].Number != 3 {
		t.Errorf("left are %+v, want version 2 gone", left)
	}
}

func TestUsersAreTargetsToo(t *testing.T) {
	cloud := cloudtest.New(t, nil)
	account := cloud.Account("aws", cloudtest.AgentAccount)
	user, err := account.AddUser(fakeaws.User{Name: "admin", Path: "/people/", Permissions: cloudtest.Inline(administrator)})
	if err != nil {
		t.Fatal(err)
	}
	keys := user.CreateKeys()
	cloudtest.Environment(t, map[string]string{"AWS_ACCESS_KEY_ID": keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY": keys.SecretAccessKey})
	admin := open(t, cloud)
	caller, err := admin.Caller(t.Context())
	if err != nil || caller.ARN() != user.ARN() {
		t.Fatalf("the caller is %v, %v; want %s", caller, err, user.ARN())
	}
	if named, err := admin.Complete(t.Context(), identity(t, bootstrap.User, "admin")); err != nil || named != caller {
		t.Errorf("named, it is %v, %v; want %v", named, err, caller)
	}
	if _, err := apply(t, admin, planFor(t, caller, endpoint.RDS)); err != nil || !slices.Equal(user.Attached, []string{policyARN}) {
		t.Errorf("attached are %q, %v", user.Attached, err)
	}
	if calls := cloud.Calls("sts", "AssumeRole"); len(calls) > 0 {
		t.Errorf("roles were assumed: %+v", calls)
	}
}

func TestTheFirstFailureEndsIt(t *testing.T) {
	cloud := cloudtest.New(t, nil, administrator)
	account := cloud.Account("aws", cloudtest.AgentAccount)
	admin := open(t, cloud)
	if _, err := account.AddPolicy("DatabaseAccess", cloudtest.Allow("s3:*", "*")); err != nil {
		t.Fatal(err)
	}
	plan := planFor(t, identity(t, bootstrap.Role, cloud.Agent.ARN()), endpoint.RDS)
	reported, err := apply(t, admin, plan)
	if !fault.Is(err, fault.AlreadyExists) || len(reported) != 1 || !strings.HasPrefix(reported[0], "!Create") {
		t.Errorf("a policy of somebody else's: %q, %v", reported, err)
	}
	if versions := account.Policies[policyARN].Versions; len(versions) != 1 || len(cloud.Agent.Attached) != 0 {
		t.Errorf("it was touched all the same: %+v, %q", versions, cloud.Agent.Attached)
	}
}

func TestWhatGoesWrongIsExplained(t *testing.T) {
	for name, c := range map[string]struct {
		policy string
		do     func(t *testing.T, cloud *cloudtest.Cloud, admin *bootstrap.Admin) error
		kind   fault.Kind
		want   string
	}{
		"a role of IAM Identity Center": {administrator, func(t *testing.T, cloud *cloudtest.Cloud, admin *bootstrap.Admin) error {
			role := cloud.Role(t, cloudtest.AgentAccount, "AWSReservedSSO_Admin_0123456789abcdef", cloudtest.Trust("arn:aws:iam::"+cloudtest.AgentAccount+":root", ""))
			_, err := apply(t, admin, planFor(t, identity(t, bootstrap.Role, role.ARN()), endpoint.RDS))
			return err
		}, fault.AccessDenied, "permission set"},
		"more policies than a role may have": {administrator, func(t *testing.T, cloud *cloudtest.Cloud, admin *bootstrap.Admin) error {
			for n := range 10 {
				arn, err := cloud.Account("aws", cloudtest.AgentAccount).AddPolicy(fmt.Sprint("p", n), cloudtest.Allow("s3:*", "*"))
				if err != nil {
					t.Fatal(err)
				}
				cloud.Update(func() { cloud.Agent.Attached = append(cloud.Agent.Attached, arn) })
			}
			_, err := apply(t, admin, planFor(t, identity(t, bootstrap.Role, cloud.Agent.ARN()), endpoint.RDS))
			return err
		}, fault.LimitExceeded, "a limit of IAM is reached"},
		"a role that is not there": {administrator, func(t *testing.T, _ *cloudtest.Cloud, admin *bootstrap.Admin) error {
			_, err := admin.Complete(t.Context(), identity(t, bootstrap.Role, "none"))
			return err
		}, fault.NotFound, `there is no role "none" in account`},
		"a user that is not there": {administrator, func(t *testing.T, _ *cloudtest.Cloud, admin *bootstrap.Admin) error {
			_, err := admin.Complete(t.Context(), identity(t, bootstrap.User, "none"))
			return err
		}, fault.NotFound, `there is no user "none" in account`},
		"an identity that is not there": {administrator, func(t *testing.T, _ *cloudtest.Cloud, admin *bootstrap.Admin) error {
			_, err := apply(t, admin, planFor(t, identity(t, bootstrap.User, "arn:aws:iam::"+cloudtest.AgentAccount+":user/none"), endpoint.RDS))
			return err
		}, fault.NotFound, "does not exist"},
		"an identity of another account": {administrator, func(t *testing.T, _ *cloudtest.Cloud, admin *bootstrap.Admin) error {
			_, err := admin.Complete(t.Context(), identity(t, bootstrap.Role, "arn:aws:iam::"+cloudtest.DatabaseAccount+":role/x"))
			return err
		}, fault.BadParameter, "is not of account " + cloudtest.AgentAccount},
		"no permission to look at one's own role": {cloudtest.Allow("s3:*", "*"), func(t *testing.T, _ *cloudtest.Cloud, admin *bootstrap.Admin) error {
			_, err := admin.Caller(t.Context())
			return err
		}, fault.AccessDenied, "allow iam:GetRole on it, or name"},
		"no permission to create policies": {cloudtest.Allow("iam:GetPolicy", "*"), func(t *testing.T, cloud *cloudtest.Cloud, admin *bootstrap.Admin) error {
			_, err := apply(t, admin, planFor(t, identity(t, bootstrap.Role, cloud.Agent.ARN()), endpoint.RDS))
			return err
		}, fault.AccessDenied, `"Action":"iam:CreatePolicy"`},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := cloudtest.New(t, nil, c.policy)
			if err := c.do(t, cloud, open(t, cloud)); !fault.Is(err, c.kind) || !strings.Contains(fault.Message(err), c.want) {
				t.Errorf("%v; want %s with %q", err, c.kind, c.want)
			}
		})
	}
}

func TestWithoutCredentials(t *testing.T) {
	cloud := cloudtest.New(t, nil)
	cloudtest.Environment(t, nil)
	_, err := bootstrap.Open(t.Context(), cloud.Provider())
	if _, ok := errors.AsType[*fault.Error](err); !ok {
		t.Errorf("%v, want an explanation", err)
	}
	if calls := cloud.Journal(); len(calls) > 0 {
		t.Errorf("AWS was called: %+v", calls)
	}
}

// mute is a cloud whose IAM answers, and says nothing.
type mute struct{ *cloudtest.Cloud }

func (m mute) Do(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.URL.Host, "iam.") {
		return m.Cloud.Do(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	query, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	name := query.Get("Action")
	answer := fmt.Sprintf("<%sResponse><%sResult></%sResult></%sResponse>", name, name, name, name)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/xml"}}, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

func TestAnswersWithoutContent(t *testing.T) {
	cloud := cloudtest.New(t, nil, administrator)
	provider := credentials.New(credentials.Config{SessionName: "test", HTTPClient: mute{cloud}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	admin, err := bootstrap.Open(t.Context(), provider)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := admin.Caller(t.Context()); !fault.Is(err, fault.ConnectionProblem) {
		t.Errorf("the caller's role: %v, %v", id, err)
	}
	if id, err := admin.Complete(t.Context(), identity(t, bootstrap.User, "somebody")); err != nil || id.Name != "somebody" {
		t.Errorf("a user: %v, %v", id, err)
	}
	if reported, err := apply(t, admin, planFor(t, identity(t, bootstrap.Role, cloud.Agent.ARN()), endpoint.RDS)); !fault.Is(err, fault.ConnectionProblem) || len(reported) != 1 {
		t.Errorf("a policy: %q, %v", reported, err)
	}
}
