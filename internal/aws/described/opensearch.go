package described

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/opensearch/types"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/labels"
	"sallyport/internal/aws/target"
	"sallyport/internal/resource"
)

// KindDefault is the kind of a domain's endpoint that is neither its owner's nor in a VPC.
const KindDefault = "default"

const openSearchPort = 443

// Domain describes a domain of OpenSearch.
func Domain(domain types.DomainStatus) Database {
	found := Database{
		ARN:    aws.ToString(domain.ARN),
		AWS:    resource.AWS{OpenSearch: resource.OpenSearch{DomainName: aws.ToString(domain.DomainName), DomainID: aws.ToString(domain.DomainId)}},
		Labels: map[string]string{labels.EngineVersion: aws.ToString(domain.EngineVersion)},
	}
	if options := domain.VPCOptions; options != nil {
		found.Labels[labels.VPC] = aws.ToString(options.VPCId)
	}
	return found
}

// DomainAddresses returns the addresses of a domain by kind. Those in a VPC have the kind that AWS calls them by.
func DomainAddresses(domain types.DomainStatus) map[string]string {
	hosts := map[string]string{KindDefault: aws.ToString(domain.Endpoint)}
	for kind, host := range domain.Endpoints {
		hosts[kind] = host
	}
	if options := domain.DomainEndpointOptions; options != nil && aws.ToBool(options.CustomEndpointEnabled) {
		hosts[endpoint.KindCustom] = aws.ToString(options.CustomEndpoint)
	}
	addresses := make(map[string]string, len(hosts))
	for kind, host := range hosts {
		if host != "" {
			addresses[kind] = target.Join(host, openSearchPort)
		}
	}
	return addresses
}

// DomainTags makes a map of a list of tags.
func DomainTags(list []types.Tag) map[string]string {
	return TagsOf(list, func(t types.Tag) (key, value *string) { return t.Key, t.Value })
}
