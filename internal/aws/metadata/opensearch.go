package metadata

import (
	"context"
	"net"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/opensearch"
	"github.com/aws/aws-sdk-go-v2/service/opensearch/types"

	"sallyport/internal/aws/labels"
	"sallyport/internal/aws/target"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

const opensearchPort = "443"

func (d *Describer) openSearch(ctx context.Context, cfg aws.Config, t *target.Target) (*description, error) {
	client := opensearch.NewFromConfig(cfg)
	name := t.AWS.OpenSearch.DomainName
	if name == "" {
		name = domainIn(t.Endpoint.Host)
	}
	if name == "" {
		return nil, fault.New(fault.NotFound, "the name of the OpenSearch domain of database %q is not known; set aws.opensearch.domain_name", t.Name)
	}
	out, err := client.DescribeDomains(ctx, &opensearch.DescribeDomainsInput{DomainNames: []string{name}})
	if err != nil {
		return nil, err
	}
	domain, err := one(out.DomainStatusList, name)
	if err != nil {
		return nil, err
	}
	found := &description{
		arn:    aws.ToString(domain.ARN),
		labels: map[string]string{labels.EngineVersion: aws.ToString(domain.EngineVersion)},
	}
	own := map[string]string{"default": aws.ToString(domain.Endpoint)}
	for key, host := range domain.Endpoints {
		own[key] = host
	}
	if options := domain.DomainEndpointOptions; options != nil && aws.ToBool(options.CustomEndpointEnabled) {
		own["custom"] = aws.ToString(options.CustomEndpoint)
	}
	kind := t.AWS.OpenSearch.EndpointType
	for key, host := range own {
		if host == "" {
			continue
		}
		found.addresses = append(found.addresses, net.JoinHostPort(strings.ToLower(host), opensearchPort))
		if kind == "" && strings.EqualFold(host, t.Endpoint.Host) {
			kind = key
		}
	}
	if options := domain.VPCOptions; options != nil {
		found.labels[labels.VPC] = aws.ToString(options.VPCId)
	}
	found.labels[labels.EndpointType] = kind
	found.aws.OpenSearch = resource.OpenSearch{DomainName: name, DomainID: aws.ToString(domain.DomainId), EndpointType: kind}
	tags, err := client.ListTags(ctx, &opensearch.ListTagsInput{ARN: domain.ARN})
	if err == nil {
		found.tags = tagsOf(tags.TagList, func(t types.Tag) (key, value *string) { return t.Key, t.Value })
	}
	found.tags = d.tagged(t.Name, found.tags, err)
	return found, nil
}

// domainIn returns the name of the domain in the host of an endpoint: search-NAME-HASH, vpc-NAME-HASH.
func domainIn(host string) string {
	label, _, _ := strings.Cut(host, ".")
	for _, prefix := range []string{"search-", "vpc-"} {
		if name, ok := strings.CutPrefix(label, prefix); ok {
			if at := strings.LastIndexByte(name, '-'); at > 0 {
				return name[:at]
			}
		}
	}
	return ""
}
