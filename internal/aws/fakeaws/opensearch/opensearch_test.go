package opensearch_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/opensearch"

	"sallyport/internal/aws/fakeaws/awsclitest"
	"sallyport/internal/aws/fakeaws/fakeawstest"
	"sallyport/internal/aws/fakeaws/opensearch"
)

func TestAWSCLI(t *testing.T) {
	c := fakeawstest.New(t)
	o := opensearch.New(c.World)
	c.Add(o.Service())
	logs := &opensearch.Domain{Place: fakeawstest.Here, Name: "logs", CustomEndpoint: "logs.example.com", Tags: map[string]string{"env": "prod"}}
	inner := &opensearch.Domain{Place: fakeawstest.Here, Name: "inner", VPC: "vpc-9", EngineVersion: "Elasticsearch_7.10"}
	if err := o.Add(logs, inner, &opensearch.Domain{Place: fakeawstest.Here, Name: "young", NotCreated: true}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(logs.Host(), "search-logs-") || !strings.HasPrefix(inner.Host(), "vpc-inner-") || !strings.HasSuffix(inner.Host(), ".us-west-1.es.amazonaws.com") {
		t.Errorf("got %s, %s", logs.Host(), inner.Host())
	}
	c.CLI(t, c.Admin,
		awsclitest.Works("opensearch list-domain-names --query DomainNames[].[DomainName,EngineType]", "inner\tElasticsearch\nlogs\tOpenSearch\nyoung\tOpenSearch"),
		awsclitest.Works("opensearch list-domain-names --engine-type Elasticsearch --query DomainNames[].DomainName", "inner\n"),
		awsclitest.Works("opensearch describe-domains --domain-names logs inner none --query DomainStatusList[].[DomainName,Endpoint,Endpoints.vpc,VPCOptions.VPCId,DomainEndpointOptions.CustomEndpoint]",
			"logs\t"+logs.Host()+"\tNone\tNone\tlogs.example.com\ninner\tNone\t"+inner.Host()+"\tvpc-9\tNone"),
		awsclitest.Works("opensearch describe-domains --domain-names young --query DomainStatusList[].[Created,Endpoint,ARN]", "False\tNone\tarn:aws:es:us-west-1:111111111111:domain/young"),
		awsclitest.Fails("opensearch describe-domains --domain-names aaa bbb ccc ddd eee fff", "(ValidationException)"),
		awsclitest.Works("opensearch list-tags --arn "+logs.ARN()+" --query TagList", "env\tprod"),
		awsclitest.Fails("opensearch list-tags --arn "+logs.ARN()+"x", "(ResourceNotFoundException)"),
	)
	c.AllCalled(t, "opensearch")
}

func TestPermissionsAreForEachDomain(t *testing.T) {
	c := fakeawstest.New(t)
	o := opensearch.New(c.World)
	c.Add(o.Service())
	if err := o.Add(&opensearch.Domain{Place: fakeawstest.Here, Name: "mine"}, &opensearch.Domain{Place: fakeawstest.Here, Name: "other"}); err != nil {
		t.Fatal(err)
	}
	client := sdk.NewFromConfig(c.Config(c.User(t, "u", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"es:DescribeDomains","Resource":"arn:aws:es:us-west-1:111111111111:domain/mine"}]}`), fakeawstest.Region))
	out, err := client.DescribeDomains(t.Context(), &sdk.DescribeDomainsInput{DomainNames: []string{"mine"}})
	if err != nil || len(out.DomainStatusList) != 1 {
		t.Errorf("got %+v, %v", out, err)
	}
	_, err = client.DescribeDomains(t.Context(), &sdk.DescribeDomainsInput{DomainNames: []string{"mine", "other"}})
	if code := fakeawstest.Code(t, err); code != "AccessDeniedException" {
		t.Errorf("got %q", code)
	}
	_, err = client.ListTags(t.Context(), &sdk.ListTagsInput{ARN: aws.String("arn:aws:es:us-west-1:111111111111:domain/mine")})
	if code := fakeawstest.Code(t, err); code != "AccessDeniedException" {
		t.Errorf("got %q", code)
	}
}
