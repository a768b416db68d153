// Package instances asks EC2 about instances.
package instances

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"sallyport/internal/aws/credentials"
)

const askTimeout = 20 * time.Second

// Asker asks EC2. Safe for concurrent use.
type Asker struct{ Credentials *credentials.Provider }

// Running reports whether an instance runs, or is about to. It is asked for with the credentials of the role, or with
// those of this process if that is empty. An instance that EC2 does not know does not run. Errors are explained.
func (a Asker) Running(ctx context.Context, region, role, instanceID string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	cfg, err := a.Credentials.For(ctx, credentials.Chain{Region: region, AssumeRoleARN: role})
	if err != nil {
		return false, err
	}
	out, err := ec2.NewFromConfig(cfg).DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{instanceID}})
	if api, ok := errors.AsType[smithy.APIError](err); ok && (api.ErrorCode() == "InvalidInstanceID.NotFound" || api.ErrorCode() == "InvalidInstanceID.Malformed") {
		return false, nil
	}
	if err != nil {
		return false, credentials.Explain(err)
	}
	for _, reservation := range out.Reservations {
		for _, instance := range reservation.Instances {
			if aws.ToString(instance.InstanceId) == instanceID && instance.State != nil {
				return instance.State.Name == types.InstanceStateNameRunning || instance.State.Name == types.InstanceStateNamePending, nil
			}
		}
	}
	return false, nil
}
