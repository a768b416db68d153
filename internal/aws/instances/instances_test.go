package instances_test

import (
	"testing"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/ec2"
	"sallyport/internal/aws/instances"
	"sallyport/internal/fault"
)

func TestInstancesRunOrDoNot(t *testing.T) {
	cloud := cloudtest.New(t, nil, cloudtest.AllowAssume)
	service := ec2.New(cloud.World)
	cloud.Add(service.Service())
	role := cloud.Role(t, cloudtest.DatabaseAccount, "watcher", cloudtest.Trust("arn:aws:iam::"+cloudtest.AgentAccount+":role/agent", ""), cloudtest.Allow("ec2:DescribeInstances", "*"))
	asker := instances.Asker{Credentials: cloud.Provider()}
	for state, want := range map[string]bool{"running": true, "pending": true, "terminated": false, "stopping": false, "stopped": false, "shutting-down": false} {
		instance := cloud.AddInstance(&fakeaws.Instance{Account: cloud.Account("aws", cloudtest.DatabaseAccount)})
		cloud.Update(func() { service.States[instance.ID] = state })
		if runs, err := asker.Running(t.Context(), "us-west-1", role.ARN(), instance.ID); err != nil || runs != want {
			t.Errorf("%s: %t, %v", state, runs, err)
		}
		if runs, err := asker.Running(t.Context(), "us-west-2", role.ARN(), instance.ID); err != nil || runs {
			t.Errorf("%s, in another region: %t, %v", state, runs, err)
		}
	}
	if runs, err := asker.Running(t.Context(), "us-west-1", role.ARN(), "i-00000006"); err != nil || runs {
		t.Errorf("one that is not there: %t, %v", runs, err)
	}
	if runs, err := asker.Running(t.Context(), "us-west-1", "", "i-00000001"); runs || !fault.Is(err, fault.AccessDenied) && !fault.Is(err, fault.ConnectionProblem) {
		t.Errorf("without the permission: %t, %v", runs, err)
	}
}
