package endpoint_test

import (
	"testing"

	"sallyport/internal/aws/endpoint"
)

func TestFormOfRegions(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]bool{
		"us-east-1": true, "us-gov-west-1": true, "cn-northwest-1": true, "us-iso-east-1": true, "us-isob-east-1": true,
		"us-iso-b-east-1": true, "eu-isoe-west-1": true, "us-isof-south-1": true, "us-global-east-1": true,
		"aws-global": true, "aws-us-gov-global": true, "aws-cn-global": true, "aws-iso-b-global": true,
		"": false, "*": false, "us-east": false, "US-EAST-1": false, "useast1": false, "us-east-1a": false, "usa-east-1": false,
		"us-east-1.evil": false, "us-east-1\n": false, "us--1": false, "us-1": false, "gov-global": false,
	} {
		if got := endpoint.IsRegion(region); got != want {
			t.Errorf("IsRegion(%q) = %v, want %v", region, got, want)
		}
	}
}

func TestPartitionOfRegion(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]struct{ partition, suffix string }{
		"us-east-1": {"aws", "amazonaws.com"}, "cn-north-1": {"aws-cn", "amazonaws.com.cn"}, "us-gov-west-1": {"aws-us-gov", "amazonaws.com"},
		"aws-cn-global": {"aws-cn", "amazonaws.com.cn"}, "aws-us-gov-global": {"aws-us-gov", "amazonaws.com"}, "": {"aws", "amazonaws.com"},
	} {
		partition := endpoint.PartitionOf(region)
		if suffix := endpoint.DNSSuffix(partition); partition != want.partition || suffix != want.suffix {
			t.Errorf("%q: %s, %s; want %s, %s", region, partition, suffix, want.partition, want.suffix)
		}
	}
}

func TestShortCodesOfRegions(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"use1": "us-east-1", "use2": "us-east-2", "usw1": "us-west-1", "usw2": "us-west-2", "apne1": "ap-northeast-1",
		"apne3": "ap-northeast-3", "aps1": "ap-south-1", "apse1": "ap-southeast-1", "apse4": "ap-southeast-4", "ape1": "ap-east-1",
		"euc1": "eu-central-1", "euw3": "eu-west-3", "eun1": "eu-north-1", "eus2": "eu-south-2", "cac1": "ca-central-1",
		"caw1": "ca-west-1", "sae1": "sa-east-1", "afs1": "af-south-1", "mes1": "me-south-1", "mec1": "me-central-1",
		"ilc1": "il-central-1", "mxc1": "mx-central-1", "cnn1": "cn-north-1", "cnnw1": "cn-northwest-1", "usgw1": "us-gov-west-1",
		"usge1": "us-gov-east-1", "euc12": "eu-central-12",
		"": "", "us": "", "use": "", "usx1": "", "use1a": "", "usg1": "", "us-east-1": "", "USE1": "", "use0": "", "use01": "", "use123": "",
	} {
		got, err := endpoint.RegionOfCode(code)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("RegionOfCode(%q) = %q, %v; want %q", code, got, err, want)
		}
	}
}
