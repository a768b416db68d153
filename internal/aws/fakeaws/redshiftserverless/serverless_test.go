package redshiftserverless_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/redshiftserverless"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/awsclitest"
	"sallyport/internal/aws/fakeaws/fakeawstest"
	"sallyport/internal/aws/fakeaws/redshiftserverless"
)

func newCloud(t *testing.T, workgroups ...*redshiftserverless.Workgroup) *fakeawstest.Cloud {
	t.Helper()
	c := fakeawstest.New(t)
	s := redshiftserverless.New(c.World)
	c.Add(s.Service())
	if err := s.Add(workgroups...); err != nil {
		t.Fatal(err)
	}
	return c
}

func sales() *redshiftserverless.Workgroup {
	return &redshiftserverless.Workgroup{Place: fakeawstest.Here, Name: "sales", Namespace: "shop", Tags: map[string]string{"env": "prod"},
		Endpoints: []*redshiftserverless.Endpoint{{Name: "inner", VPC: "vpc-2"}}}
}

func TestAWSCLI(t *testing.T) {
	g := sales()
	c := newCloud(t, g, &redshiftserverless.Workgroup{Place: fakeawstest.Here, Name: "old", Status: "DELETING"})
	c.CLI(t, c.Admin,
		awsclitest.Works("redshift-serverless list-workgroups --query workgroups[].[workgroupName,status,namespaceName]", "old\tDELETING\told\nsales\tAVAILABLE\tshop"),
		awsclitest.Works("redshift-serverless list-workgroups --page-size 1 --query workgroups[].workgroupName", "sales"),
		awsclitest.Works("redshift-serverless get-workgroup --workgroup-name sales --query workgroup.[endpoint.address,endpoint.port,workgroupArn,creationDate,endpoint.vpcEndpoints[0].vpcId]", "sales.111111111111.us-west-1.redshift-serverless.amazonaws.com\t5439\t"+g.ARN()),
		awsclitest.Fails("redshift-serverless get-workgroup --workgroup-name none", "(ResourceNotFoundException)"),
		awsclitest.Works("redshift-serverless list-endpoint-access --query endpoints[].[endpointName,workgroupName,address,vpcEndpoint.vpcId]", "inner\tsales\tinner-endpoint-"),
		awsclitest.Works("redshift-serverless list-endpoint-access --vpc-id vpc-3", ""),
		awsclitest.Works("redshift-serverless list-endpoint-access --workgroup-name sales --query endpoints[].endpointStatus", "ACTIVE"),
		awsclitest.Works("redshift-serverless get-endpoint-access --endpoint-name inner --query endpoint.[port,workgroupName]", "5439\tsales"),
		awsclitest.Fails("redshift-serverless get-endpoint-access --endpoint-name none", "(ResourceNotFoundException)"),
		awsclitest.Works("redshift-serverless get-credentials --workgroup-name sales --db-name dev --query dbUser", "IAM:admin"),
		awsclitest.Fails("redshift-serverless get-credentials --workgroup-name sales --duration-seconds 60", "(ValidationException)"),
		awsclitest.Works("redshift-serverless list-tags-for-resource --resource-arn "+g.ARN()+" --query tags", "env\tprod"),
		awsclitest.Fails("redshift-serverless list-tags-for-resource --resource-arn "+g.ARN()+"x", "(ResourceNotFoundException)"),
	)
	c.AllCalled(t, "redshift-serverless")
}

func TestPasswordsOpenWorkgroupAndEndpoint(t *testing.T) {
	g := sales()
	c := newCloud(t, g, &redshiftserverless.Workgroup{Place: fakeawstest.Here, Name: "other"})
	client := sdk.NewFromConfig(c.Config(c.User(t, "u", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"redshift-serverless:GetCredentials","Resource":"`+g.ARN()+`"}]}`), fakeawstest.Region))
	out, err := client.GetCredentials(t.Context(), &sdk.GetCredentialsInput{WorkgroupName: aws.String("sales"), DbName: aws.String("dev")})
	if err != nil {
		t.Fatal(err)
	}
	if *out.DbUser != "IAM:u" || !out.Expiration.After(c.Now()) {
		t.Errorf("got %q until %v", *out.DbUser, out.Expiration)
	}
	for _, one := range []struct{ rule, host, database, reason string }{
		{"the workgroup", g.Host, "dev", "allowed"},
		{"its VPC endpoint", g.Endpoints[0].Host, "dev", "allowed"},
		{"another database", g.Host, "prod", "issued for database"},
		{"another workgroup", "other.111111111111.us-west-1.redshift-serverless.amazonaws.com", "dev", "not issued for this server"},
	} {
		t.Run(one.rule, func(t *testing.T) {
			verdict := c.Verify(fakeaws.Login{Service: fakeaws.RedshiftServerless, Host: one.host, User: "IAM:u", Database: one.database, Token: *out.DbPassword})
			if !strings.Contains(verdict.Reason, one.reason) {
				t.Errorf("got %+v", verdict)
			}
		})
	}
	_, err = client.GetCredentials(t.Context(), &sdk.GetCredentialsInput{WorkgroupName: aws.String("other")})
	if code := fakeawstest.Code(t, err); code != "AccessDeniedException" {
		t.Errorf("another workgroup's: %q", code)
	}
	if _, err := client.ListWorkgroups(t.Context(), &sdk.ListWorkgroupsInput{}); fakeawstest.Code(t, err) != "AccessDeniedException" {
		t.Errorf("the list: %v", err)
	}
}
