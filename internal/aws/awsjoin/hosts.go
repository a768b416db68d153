package awsjoin

import (
	"slices"

	"sallyport/internal/aws/endpoint"
)

// regions of which STS answers on a host of its own ("AWS STS Regions and endpoints" in the IAM user guide). Hosts in a
// region that is not among them sign for the host of their partition.
var regions = map[string][]string{
	endpoint.PartitionAWS: {
		"af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2",
		"ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "ap-southeast-7",
		"ca-central-1", "ca-west-1", "eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2",
		"eu-west-1", "eu-west-2", "eu-west-3", "il-central-1", "me-central-1", "me-south-1", "mx-central-1", "sa-east-1",
		"us-east-1", "us-east-2", "us-west-1", "us-west-2",
	},
	endpoint.PartitionChina: {"cn-north-1", "cn-northwest-1"},
	endpoint.PartitionGov:   {"us-gov-east-1", "us-gov-west-1"},
}

// withFIPS are regions with a further host that is validated by FIPS 140 ("FIPS endpoints by service"). In GovCloud
// every host is.
var withFIPS = []string{"us-east-1", "us-east-2", "us-west-1", "us-west-2"}

// fallback is a partition's region for hosts elsewhere in it.
var fallback = map[string]string{
	endpoint.PartitionAWS: "us-east-1", endpoint.PartitionChina: "cn-north-1", endpoint.PartitionGov: "us-gov-west-1",
}

// place says what the host of an STS stands for.
type place struct {
	partition, region string
	fips              bool // validated by FIPS 140
}

// hosts are all that a signed request may be for.
var hosts = func() map[string]place {
	all := map[string]place{"sts.amazonaws.com": {endpoint.PartitionAWS, "us-east-1", false}}
	for partition, list := range regions {
		for _, region := range list {
			all["sts."+region+"."+endpoint.DNSSuffix(partition)] = place{partition, region, partition == endpoint.PartitionGov}
		}
	}
	for _, region := range withFIPS {
		all["sts-fips."+region+".amazonaws.com"] = place{endpoint.PartitionAWS, region, true}
	}
	return all
}()

// HostFor returns the host of STS for which a host in the region signs, and the region that it signs for.
func HostFor(region string, fips bool) (host, signingRegion string) {
	partition := endpoint.PartitionOf(region)
	if !slices.Contains(regions[partition], region) || fips && partition == endpoint.PartitionAWS && !slices.Contains(withFIPS, region) {
		region = fallback[partition]
	}
	if fips && slices.Contains(withFIPS, region) {
		return "sts-fips." + region + ".amazonaws.com", region
	}
	return "sts." + region + "." + endpoint.DNSSuffix(partition), region
}
