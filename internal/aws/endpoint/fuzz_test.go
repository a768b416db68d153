package endpoint_test

import (
	"regexp"
	"strings"
	"testing"

	"sallyport/internal/aws/endpoint"
)

// hostIn finds the host in an address by other means than the package does.
func hostIn(address string) string {
	host := strings.ToLower(address)
	host = regexp.MustCompile(`^[a-z+]+://`).ReplaceAllString(host, "")
	return regexp.MustCompile(`[:/?#].*$`).ReplaceAllString(host, "")
}

var awsHost = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+amazonaws\.com(\.cn)?$`)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"aurora.cluster-abc.us-west-1.rds.amazonaws.com:5432", "x.endpoint.proxy-abc.rds.cn-north-1.amazonaws.com.cn:3306",
		"etl.123456789012.us-east-1.redshift-serverless.amazonaws.com", "rediss://clustercfg.g.abc.use1.cache.amazonaws.com:6379?mode=cluster",
		"c.abc.clustercfg.memorydb.us-east-1.amazonaws.com", "mongodb://d.cluster-ro-abc.us-east-1.docdb.amazonaws.com/",
		"https://search-x.us-east-1.es.amazonaws.com", "aws://dynamodb.us-east-1.amazonaws.com", "cassandra.us-gov-west-1.amazonaws.com:9142",
		"x.rds.amazonaws.com.evil.test:5432", "u@x.abc.us-west-1.rds.amazonaws.com:1", "\u212a.abc.us-west-1.rds.amazonaws.com", "carts-a1b2c3.serverless.use1.cache.amazonaws.com",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		e, err := endpoint.Parse(address)
		if err != nil {
			if e != (endpoint.Endpoint{}) {
				t.Fatalf("%q is refused and still gives %+v", address, e)
			}
			return
		}
		if again, err := endpoint.Parse(e.String()); err != nil || again != e {
			t.Fatalf("%q: %+v printed and read again is %+v, %v", address, e, again, err)
		}
		if e.Host != hostIn(address) || !awsHost.MatchString(e.Host) {
			t.Fatalf("%q: host %q", address, e.Host)
		}
		if !endpoint.InDomain(e.Type, e.Region, e.Partition, e.Host) {
			t.Fatalf("%q: %+v is outside its own domain", address, e)
		}
		if endpoint.LooksLikeAWS(e.Host) {
			t.Fatalf("%q: is an endpoint and a look-alike", address)
		}
		if !endpoint.IsRegion(e.Region) || endpoint.PartitionOf(e.Region) != e.Partition {
			t.Fatalf("%q: %s in %s", address, e.Region, e.Partition)
		}
	})
}

func FuzzParseRole(f *testing.F) {
	f.Add("arn:aws:iam::123456789012:role/team/reader")
	f.Add("arn:aws-cn:iam::123456789012:role/a:b")
	f.Fuzz(func(t *testing.T, arn string) {
		role, err := endpoint.ParseRole(arn)
		if err == nil && role.String() != arn {
			t.Fatalf("%q is printed as %q", arn, role)
		}
	})
}
