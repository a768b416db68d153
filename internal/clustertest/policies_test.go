package clustertest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/clustertest"
	"sallyport/internal/config"
	"sallyport/internal/resource"
)

// TestAgentsKeepTheirPolicy has two agents that share a role allow themselves what they serve, in turns that auth gives
// them, and a third that may not: its database is registered all the same, and says why.
func TestAgentsKeepTheirPolicy(t *testing.T) {
	cloud := cloudtest.New(t, nil, cloudtest.Allow("iam:*RolePolicy", "arn:aws:iam::111111111111:role/agent"), cloudtest.AllowAssume)
	cloud.Role(t, cloudtest.DatabaseAccount, "databases", cloudtest.Trust(cloud.Agent.ARN(), ""))
	server, err := cloud.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	manage := func(cfg *config.Config) { cfg.Databases.ManageIAMPolicy = true }
	database := func(name, role string) *resource.Database {
		db := clustertest.Database(t, name, name+".abcdefghijkl.us-west-1.rds.amazonaws.com:5432", nil)
		db.Spec.AWS.RDS.ResourceID, db.Spec.AWS.AssumeRoleARN = "db-"+strings.ToUpper(name), role
		return db
	}
	cluster := clustertest.Start(t, clustertest.Options{Databases: []*resource.Database{database("orders", "")}, Change: manage})
	status := func(name string, want int, reason string) {
		t.Helper()
		clustertest.Eventually(t, name+" is registered with the status of its permissions", func() error {
			res, err := cluster.Admin.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: resource.KindDatabaseServer})
			if err != nil {
				return err
			}
			for _, one := range res.GetResources() {
				r, err := resource.Decode(resource.KindDatabaseServer, one.GetJson())
				if err != nil {
					return err
				}
				db := r.(*resource.DatabaseServer).Spec.Database
				if at := &db.Status.AWS; db.GetName() == name && at.IAMPolicyStatus == want && strings.Contains(at.IAMPolicyReason, reason) {
					return nil
				}
			}
			return fmt.Errorf("not among %v", res.GetResources())
		})
	}
	status("orders", resource.IAMPolicySuccess, "")
	role := cloud.Agent.ARN()
	turn, err := cluster.Admin.Policies.BeginPolicyChange(t.Context(), &sallyportv1.BeginPolicyChangeRequest{Identity: role})
	if err != nil || turn.GetTurn() == "" || len(turn.GetOwn()) != 1 { // tctl on auth's host is the same host as its agent
		t.Fatalf("a turn of the first agent: %v, %v", turn, err)
	}
	agent := cluster.StartAgent(t, manage, database("books", ""), database("far", "arn:aws:iam::222222222222:role/databases"))
	clustertest.Eventually(t, "the second agent waits for its turn", func() error {
		if !strings.Contains(agent.Log(), "IAM policy is being changed by another agent") {
			return errors.New("it does not")
		}
		return nil
	})
	status("books", resource.IAMPolicyPending, "")
	if n := len(cloud.Calls("iam", "PutRolePolicy")); n != 1 {
		t.Errorf("the policy was written %d times", n)
	}
	if _, err := cluster.Admin.Policies.EndPolicyChange(t.Context(), &sallyportv1.EndPolicyChangeRequest{Identity: role, Turn: turn.GetTurn(), Failed: true}); err != nil {
		t.Fatal(err)
	}
	status("books", resource.IAMPolicySuccess, "")
	status("far", resource.IAMPolicyFailed, "iam:PutRolePolicy")
	var policy string
	cloud.Update(func() { policy = cloud.Agent.Inline[clustertest.ClusterName+"-teleport-database-access"] })
	for _, id := range []string{"db-ORDERS/*", "db-BOOKS/*"} {
		if !strings.Contains(policy, id) {
			t.Errorf("the policy lacks %s: %s", id, policy)
		}
	}
}
