package metadata

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/opensearch"

	"sallyport/internal/aws/described"
	"sallyport/internal/aws/labels"
	"sallyport/internal/aws/target"
	"sallyport/internal/fault"
)

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
	found := &description{Database: described.Domain(domain)}
	kind := t.AWS.OpenSearch.EndpointType
	for key, address := range described.DomainAddresses(domain) {
		found.addresses = append(found.addresses, address)
		if kind == "" && strings.EqualFold(address, t.Endpoint.Address()) {
			kind = key
		}
	}
	found.AWS.OpenSearch.EndpointType, found.Labels[labels.EndpointType] = kind, kind
	tags, err := client.ListTags(ctx, &opensearch.ListTagsInput{ARN: domain.ARN})
	if err == nil {
		found.Tags = described.DomainTags(tags.TagList)
	}
	found.Tags = d.tagged(t.Name, found.Tags, err)
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
