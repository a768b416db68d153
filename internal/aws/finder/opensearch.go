package finder

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/opensearch"
	"github.com/aws/aws-sdk-go-v2/service/opensearch/types"

	"sallyport/internal/aws/described"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/labels"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// domain is a domain that can be connected to.
type domain struct {
	tagged
	name      string
	addresses map[string]string // by kind
}

// openSearch finds domains of OpenSearch.
func (l *look) openSearch(ctx context.Context) error {
	domains, err := l.domains(ctx, opensearch.NewFromConfig(l.cfg))
	if err != nil {
		return err
	}
	for _, one := range domains {
		for _, kind := range slices.Sorted(maps.Keys(one.addresses)) {
			c := candidate{
				Database: one.Database, id: one.name, address: one.addresses[kind], protocol: resource.ProtocolOpenSearch, lacks: one.lacks,
				labels:      map[string]string{labels.EndpointType: kind},
				description: "OpenSearch domain in " + l.Region + " (" + kind + " endpoint)",
			}
			if kind != described.KindDefault {
				c.endpoint = kind
			}
			if kind == endpoint.KindCustom {
				c.kind = kind
			}
			c.AWS.OpenSearch.EndpointType = kind
			l.add(c)
		}
	}
	return nil
}

// maxDomains is how many domains can be described at once.
const maxDomains = 5

func (l *look) domains(ctx context.Context, client *opensearch.Client) ([]domain, error) {
	var list *opensearch.ListDomainNamesOutput
	err := call(ctx, func(ctx context.Context) (err error) {
		list, err = client.ListDomainNames(ctx, &opensearch.ListDomainNamesInput{}) // not in pages
		return err
	})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, one := range list.DomainNames {
		names = append(names, aws.ToString(one.DomainName))
	}
	chunks := slices.Collect(slices.Chunk(names, maxDomains))
	found := make([][]types.DomainStatus, len(chunks))
	numbers := make([]int, len(chunks))
	for i := range numbers {
		numbers[i] = i
	}
	err = forEach(ctx, numbers, func(ctx context.Context, i *int) error {
		out, err := client.DescribeDomains(ctx, &opensearch.DescribeDomainsInput{DomainNames: chunks[*i]})
		if err == nil {
			found[*i] = out.DomainStatusList
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	all := slices.Concat(found...)
	l.undescribed(names, all)
	domains := l.usableDomains(all)
	return domains, forEach(ctx, domains, func(ctx context.Context, d *domain) error {
		out, err := client.ListTags(ctx, &opensearch.ListTagsInput{ARN: &d.ARN})
		if err != nil {
			return d.note(nil, err)
		}
		return d.note(described.DomainTags(out.TagList), nil)
	})
}

// undescribed notes domains that AWS lists and says nothing of. They are there, or were a moment ago.
func (l *look) undescribed(names []string, all []types.DomainStatus) {
	missing := map[string]bool{}
	for _, name := range names {
		missing[name] = true
	}
	for _, one := range all {
		delete(missing, aws.ToString(one.DomainName))
	}
	if len(missing) > 0 {
		l.unseen = append(l.unseen, Part{
			What: "some OpenSearch domains", Err: fault.New(fault.ConnectionProblem, "AWS lists %q and does not describe them", slices.Sorted(maps.Keys(missing))),
			covers: func(db *resource.Database) bool { return missing[db.Spec.AWS.OpenSearch.DomainName] },
		})
	}
}

func (l *look) usableDomains(all []types.DomainStatus) []domain {
	var usable []domain
	for _, one := range all {
		switch addresses := described.DomainAddresses(one); {
		case !aws.ToBool(one.Created), aws.ToBool(one.Deleted):
			l.skip(one.DomainName, "it is being made or deleted")
		case len(addresses) == 0:
			l.skip(one.DomainName, "it has no endpoint yet")
		default:
			usable = append(usable, domain{tagged: tagged{Database: described.Domain(one)}, name: aws.ToString(one.DomainName), addresses: addresses})
		}
	}
	return usable
}
