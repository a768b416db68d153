package auth_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
)

// checked is a world with an agent that serves the database orders and answers checks.
type checked struct {
	*world
	agent *identity.Identity
	api   *authapi.Client // of the agent
}

// newChecked starts an agent that answers checks with what the function returns.
func newChecked(t *testing.T, answer func(c *checked, check *sallyportv1.DatabaseCheck) []*sallyportv1.CheckStep) *checked {
	t.Helper()
	w := newWorld(t)
	c := &checked{world: w, agent: w.host(resource.RoleDb)}
	c.api = w.as(c.agent)
	if err := heartbeat(t, w, c.agent, c.agent.Name, "orders"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := c.api.Databases.FollowChecks(ctx, &sallyportv1.FollowChecksRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if !stream.Receive() { // from now on the agent can be asked
		t.Fatal(stream.Err())
	}
	var following sync.WaitGroup
	following.Go(func() {
		for stream.Receive() {
			if check := stream.Msg().GetCheck(); check != nil {
				steps := answer(c, check)
				if _, err := c.api.Databases.ReportCheck(ctx, &sallyportv1.ReportCheckRequest{CheckId: check.GetId(), Steps: steps}); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		following.Wait()
	})
	return c
}

func passed(*checked, *sallyportv1.DatabaseCheck) []*sallyportv1.CheckStep {
	return []*sallyportv1.CheckStep{{Name: "login", Result: sallyportv1.CheckStep_RESULT_PASSED}}
}

func check(t *testing.T, api *authapi.Client, name, account string) (*sallyportv1.CheckDatabaseResponse, error) {
	t.Helper()
	return api.Databases.CheckDatabase(t.Context(), &sallyportv1.CheckDatabaseRequest{Name: name, DatabaseUser: account, DatabaseName: "sales"})
}

func TestWhoMayHaveADatabaseChecked(t *testing.T) {
	t.Parallel()
	c := newChecked(t, passed)
	c.mustApply(`
kind: role
version: v7
metadata: {name: everything}
spec: {allow: {db_labels: {'*': '*'}, db_users: ['*'], db_names: ['*'], rules: [{resources: [db], verbs: [list, read, create, delete]}]}}
---
kind: role
version: v7
metadata: {name: updates}
spec: {allow: {rules: [{resources: [db], verbs: [update]}]}}
---
kind: role
version: v7
metadata: {name: others}
spec: {allow: {rules: [{resources: [db], verbs: [update], where: 'resource.metadata.name == "other"'}]}}
`)
	for _, name := range []string{"everything", "updates", "others"} {
		c.invite(name, name)
	}
	for name, test := range map[string]struct {
		as  *identity.Identity
		may bool
	}{
		"the administrator":                      {c.host(resource.RoleAdmin), true},
		"whoever may update databases":           {c.user("updates"), true},
		"whoever may use it, and not update it":  {c.user("everything"), false},
		"whoever may update another":             {c.user("others"), false},
		"an agent":                               {c.agent, false},
		"a proxy":                                {c.host(resource.RoleProxy), false},
		"nobody":                                 {nil, false},
		"a certificate that is for one database": {&identity.Identity{Kind: identity.User, Cluster: cluster, Name: "updates", Expires: c.user("x").Expires, Route: &identity.Route{Service: "orders"}}, false},
	} {
		_, err := check(t, c.as(test.as), "orders", "app")
		if test.may != (err == nil) || err != nil && !fault.Is(err, fault.AccessDenied) && !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := c.events("db.check", `"code"`); n != 2 {
		t.Errorf("%d checks are recorded", n)
	}
	for name, api := range map[string]*authapi.Client{"a user": c.as(c.user("updates")), "a proxy": c.proxy} {
		stream, err := api.Databases.FollowChecks(t.Context(), &sallyportv1.FollowChecksRequest{})
		if err == nil {
			if stream.Receive() {
				t.Errorf("%s follows checks", name)
			}
			err = stream.Err()
		}
		if !fault.Is(err, fault.AccessDenied) {
			t.Errorf("%s follows checks: %v", name, err)
		}
	}
}

func TestAnAgentAnswersACheckThatIsRecorded(t *testing.T) {
	t.Parallel()
	var recorded int
	c := newChecked(t, func(c *checked, check *sallyportv1.DatabaseCheck) []*sallyportv1.CheckStep {
		recorded = c.events("db.check", `"check_id":"`+check.GetId()+`"`)
		return []*sallyportv1.CheckStep{
			{Name: "name", Result: sallyportv1.CheckStep_RESULT_PASSED, Detail: check.GetDatabaseService() + " " + check.GetDatabaseUser() + " " + check.GetDatabaseName() + " for " + check.GetUser()},
			{Name: "login", Result: sallyportv1.CheckStep_RESULT_FAILED, Detail: "refused", Advice: "GRANT"},
		}
	})
	c.mustApply("kind: role\nversion: v7\nmetadata: {name: updates}\nspec: {allow: {rules: [{resources: [db], verbs: [update]}]}}\n")
	c.invite("eve", "updates")
	res, err := check(t, c.as(c.user("eve")), "orders", "app")
	if err != nil {
		t.Fatal(err)
	}
	steps := res.GetSteps()
	if len(steps) != 3 || steps[0].GetName() != "database" || !strings.Contains(steps[0].GetDetail(), c.agent.Name) ||
		steps[1].GetDetail() != "orders app sales for eve" || steps[2].GetAdvice() != "GRANT" {
		t.Errorf("got %v", steps)
	}
	if recorded != 1 {
		t.Error("the agent was told of a check that was not recorded")
	}
	if n := c.events("db.check", `"user":"eve","user_kind":1,"db_service":"orders","db_protocol":"postgres","db_uri":"localhost:5432","db_name":"sales","db_user":"app"`); n != 1 {
		t.Errorf("%d events tell who checked what", n)
	}
	if n := c.events("db.check.end", `"step":"login","success":false,"error":"refused"`); n != 1 {
		t.Errorf("%d events tell how it ended", n)
	}
}

// TestCertificatesOfChecks are for the agent that was asked, the account and the database that were named, and no
// longer than the check lasts.
func TestCertificatesOfChecks(t *testing.T) {
	t.Parallel()
	_, key, err := ca.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	sign := func(api *authapi.Client, service, account, id string) error {
		res, err := api.Certificates.SignDatabaseClientCertificate(context.Background(), &sallyportv1.SignDatabaseClientCertificateRequest{
			PublicKey: key, DatabaseService: service, DatabaseUser: account, CheckId: id})
		if err != nil {
			return err
		}
		cert, err := ca.ParseCertificate(res.GetCertificate())
		if err == nil && cert.Subject.CommonName != account {
			err = errors.New("the certificate is for " + cert.Subject.CommonName)
		}
		return err
	}
	var id string
	denied := map[string]error{}
	c := newChecked(t, func(c *checked, check *sallyportv1.DatabaseCheck) []*sallyportv1.CheckStep {
		id = check.GetId()
		if err := sign(c.api, "orders", "app", id); err != nil {
			t.Error(err)
		}
		other := c.host(resource.RoleDb)
		err := apply(t, c.admin, "kind: db\nversion: v3\nmetadata: {name: orders}\nspec: {protocol: postgres, uri: 'localhost:5432'}\n") // so that both may serve it
		err = errors.Join(err, heartbeat(t, c.world, other, other.Name, "orders"), heartbeat(t, c.world, c.agent, c.agent.Name, "billing"))
		if err != nil {
			t.Error(err)
		}
		denied["another account"] = sign(c.api, "orders", "postgres", id)
		denied["another database"] = sign(c.api, "billing", "app", id)
		denied["another check"] = sign(c.api, "orders", "app", "00000000-0000-4000-8000-000000000000")
		denied["another agent"] = sign(c.as(other), "orders", "app", id)
		_, denied["another agent's answer"] = c.as(other).Databases.ReportCheck(context.Background(), &sallyportv1.ReportCheckRequest{CheckId: id, Steps: passed(c, check)})
		return passed(c, check)
	})
	if _, err := check(t, c.admin, "orders", "app"); err != nil {
		t.Fatal(err)
	}
	denied["a check that is over"] = sign(c.api, "orders", "app", id)
	_, denied["the answer of one that is over"] = c.api.Databases.ReportCheck(t.Context(), &sallyportv1.ReportCheckRequest{CheckId: id, Steps: passed(c, nil)})
	if len(denied) != 7 {
		t.Fatalf("tried %d", len(denied))
	}
	for name, err := range denied {
		if !fault.Is(err, fault.AccessDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := c.events("cert.create", `"cert_type":"db_client"`); n != 1 {
		t.Errorf("%d certificates are recorded", n)
	}
}

func TestChecksThatNoAgentCanMake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.host(resource.RoleDb)
	if err := heartbeat(t, w, agent, agent.Name, "orders"); err != nil {
		t.Fatal(err)
	}
	w.mustApply("kind: db\nversion: v3\nmetadata: {name: written}\nspec: {protocol: postgres, uri: 'localhost:5432'}\n")
	for name, want := range map[string]string{
		"orders": "none of them is connected", "written": "remove the resource with tctl rm db/written", "unknown": "there is no such database", "or/ders": "there is no such database",
	} {
		res, err := check(t, w.admin, name, "app")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if steps := res.GetSteps(); len(steps) != 1 || steps[0].GetResult() != sallyportv1.CheckStep_RESULT_FAILED || !strings.Contains(steps[0].GetDetail(), want) {
			t.Errorf("%s: %v", name, steps)
		}
	}
	_, err := check(t, w.admin, "orders", "")
	wantKind(t, err, fault.BadParameter, "account")
}

func TestTheAgentThatIsToCheckCanBeChosen(t *testing.T) {
	t.Parallel()
	c := newChecked(t, passed)
	for name, ok := range map[string]bool{"h": true, c.agent.Name: true, "another": false} {
		res, err := c.admin.Databases.CheckDatabase(t.Context(), &sallyportv1.CheckDatabaseRequest{Name: "orders", DatabaseUser: "app", Agent: name})
		if err != nil {
			t.Fatal(err)
		}
		if passed := res.GetSteps()[0].GetResult() == sallyportv1.CheckStep_RESULT_PASSED; passed != ok {
			t.Errorf("%s: %v", name, res.GetSteps())
		}
	}
}
