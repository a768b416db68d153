package instances_test

import (
	"testing"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/instances"
	"sallyport/internal/fault"
)

func TestInstancesRunOrDoNot(t *testing.T) {
	states := map[string]string{"i-00000001": "running", "i-00000002": "pending", "i-00000003": "terminated", "i-00000004": "stopped", "i-00000005": "shutting-down"}
	cloud := cloudtest.New(t, []*fakeaws.Service{cloudtest.EC2(cloudtest.DatabaseAccount, states)}, cloudtest.AllowAssume)
	role := cloud.Role(t, cloudtest.DatabaseAccount, "watcher", cloudtest.Trust("arn:aws:iam::"+cloudtest.AgentAccount+":role/agent", ""), cloudtest.Allow("ec2:DescribeInstances", "*"))
	asker := instances.Asker{Credentials: cloud.Provider()}
	for id, want := range map[string]bool{"i-00000001": true, "i-00000002": true, "i-00000003": false, "i-00000004": false, "i-00000005": false, "i-00000006": false} {
		if runs, err := asker.Running(t.Context(), "us-west-1", role.ARN(), id); err != nil || runs != want {
			t.Errorf("%s: %t, %v", id, runs, err)
		}
	}
	if runs, err := asker.Running(t.Context(), "us-west-1", "", "i-00000001"); runs || !fault.Is(err, fault.AccessDenied) && !fault.Is(err, fault.ConnectionProblem) {
		t.Errorf("without the permission: %t, %v", runs, err)
	}
}
