package endpoint

import (
	"fmt"
	"regexp"
	"strings"
)

// Partitions that are supported ("Amazon Resource Names" in the IAM user guide).
const (
	PartitionAWS   = "aws"
	PartitionChina = "aws-cn"
	PartitionGov   = "aws-us-gov"
)

// Partitions returns the supported partitions.
func Partitions() []string { return []string{PartitionAWS, PartitionChina, PartitionGov} }

var (
	// place is a region with a place of its own, as endpoints have.
	place = regexp.MustCompile(`^[a-z]{2}(-(gov|global|iso|isob|iso-b|isoe|iso-e|isof|iso-f))?-[a-z]+-[0-9]{1,2}$`)
	// pseudo is a region under which global services of a partition sign.
	pseudo = regexp.MustCompile(`^aws(-(us-gov|cn|iso|iso-b|iso-e|iso-f))?-global$`)
)

// IsRegion reports whether the text has the form of a region. Regions come into being, so none is
// looked up in a list.
func IsRegion(region string) bool { return place.MatchString(region) || pseudo.MatchString(region) }

// PartitionOf returns the partition that a region belongs to, judged by its first letters.
func PartitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"), region == "aws-cn-global":
		return PartitionChina
	case strings.HasPrefix(region, "us-gov-"), region == "aws-us-gov-global":
		return PartitionGov
	default:
		return PartitionAWS
	}
}

// RegionOfIAM returns where calls of IAM are signed for, which has one endpoint for all regions of a partition ("AWS Identity
// and Access Management endpoints and quotas" in the AWS general reference). The SDK knows it by the host, but not where
// AWS_ENDPOINT_URL names another.
func RegionOfIAM(partition string) string {
	switch partition {
	case PartitionChina:
		return "cn-north-1"
	case PartitionGov:
		return "us-gov-west-1"
	default:
		return "us-east-1"
	}
}

// DNSSuffix returns the domain under which a partition's services are found. GovCloud shares the one of
// the standard partition.
func DNSSuffix(partition string) string {
	if partition == PartitionChina {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// directions of the short region codes; those of two letters are tried first.
var directions = []struct{ short, long string }{
	{"nw", "northwest"}, {"ne", "northeast"}, {"se", "southeast"}, {"sw", "southwest"},
	{"n", "north"}, {"e", "east"}, {"w", "west"}, {"s", "south"}, {"c", "central"},
}

// RegionOfCode returns the region that ElastiCache writes as a short code in its host names: use1 is
// us-east-1, usgw1 is us-gov-west-1, cnn1 is cn-north-1.
func RegionOfCode(code string) (string, error) {
	area, rest := "", ""
	switch {
	case strings.HasPrefix(code, "usg"):
		area, rest = "us-gov", code[3:]
	case len(code) > 2:
		area, rest = code[:2], code[2:]
	}
	for _, d := range directions {
		number, ok := strings.CutPrefix(rest, d.short)
		region := area + "-" + d.long + "-" + number
		if ok && place.MatchString(region) && number[0] != '0' {
			return region, nil
		}
	}
	return "", fmt.Errorf("%q is not the short code of a region", code)
}
