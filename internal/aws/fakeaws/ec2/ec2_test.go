package ec2_test

import (
	"testing"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/awsclitest"
	"sallyport/internal/aws/fakeaws/ec2"
	"sallyport/internal/aws/fakeaws/fakeawstest"
	"sallyport/internal/aws/fakeaws/inventory"
)

func TestAWSCLI(t *testing.T) {
	c := fakeawstest.New(t)
	e := ec2.New(c.World)
	c.Add(e.Service())
	if err := e.Add(&ec2.Subnet{Place: fakeawstest.Here, ID: "subnet-9", VPC: "vpc-9", Tags: map[string]string{"env": "prod"}},
		&ec2.Subnet{Place: inventory.Place{Account: fakeawstest.AccountID, Region: "eu-west-1"}, ID: "subnet-8"}); err != nil {
		t.Fatal(err)
	}
	role, err := c.Account.AddRole(fakeaws.Role{Name: "node", Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`})
	if err != nil {
		t.Fatal(err)
	}
	one := c.AddInstance(&fakeaws.Instance{ID: "i-0123456789abcdef0", Account: c.Account, Role: role, Tags: map[string]string{"Name": "one"}})
	c.AddInstance(&fakeaws.Instance{ID: "i-0123456789abcdef1", Account: c.Account})
	c.AddInstance(&fakeaws.Instance{ID: "i-0123456789abcdef2", Account: c.World.Account("aws", "222222222222")})
	c.Update(func() { e.States["i-0123456789abcdef1"] = "stopped" })
	one.Change(func() { one.Tags["Name"] = "first" })
	c.CLI(t, c.Admin,
		awsclitest.Works("ec2 describe-subnets --query Subnets[].[SubnetId,VpcId,Tags[0].Value]", "subnet-9\tvpc-9\tprod"),
		awsclitest.Works("ec2 describe-subnets --filters Name=vpc-id,Values=vpc-9 --query Subnets[].SubnetId", "subnet-9\n"),
		awsclitest.Works("ec2 describe-subnets --subnet-ids subnet-9 --query Subnets[].VpcId", "vpc-9\n"),
		awsclitest.Fails("ec2 describe-subnets --subnet-ids subnet-8", "(InvalidSubnetID.NotFound)"),
		awsclitest.Works("ec2 describe-instances --query Reservations[].Instances[].[InstanceId,State.Name,IamInstanceProfile.Arn,Tags[0].Value]",
			"i-0123456789abcdef0\trunning\tarn:aws:iam::111111111111:instance-profile/node\tfirst\ni-0123456789abcdef1\tstopped\tNone\tNone\n"),
		awsclitest.Works("ec2 describe-instances --filters Name=instance-state-name,Values=running --query Reservations[].Instances[].InstanceId", "i-0123456789abcdef0\n"),
		awsclitest.Works("ec2 describe-instances --instance-ids i-0123456789abcdef1 --query Reservations[].Instances[].State.Code", "80\n"),
		awsclitest.Fails("ec2 describe-instances --instance-ids i-0123456789abcdef2", "(InvalidInstanceID.NotFound)"),
		awsclitest.Fails("ec2 describe-instances --instance-ids i-xyz", "(InvalidInstanceID.Malformed)"),
		awsclitest.Fails("ec2 describe-instances --filters Name=colour,Values=red", "(InvalidParameterValue)"),
	)
	c.CLI(t, c.User(t, "nobody", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:DescribeSubnets","Resource":"*"}]}`),
		awsclitest.Fails("ec2 describe-instances", "(UnauthorizedOperation)"))
	c.AllCalled(t, "ec2")
}
