package endpoint_test

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
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

func FuzzParseCustom(f *testing.F) {
	for _, seed := range []string{"logs.example.com", "https://logs.example.com:443/", "es.amazonaws.com.example.com", "x.us-west-1.es.amazonaws.com", "AMAZONAWS.example", "[::1]:443"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		e, err := endpoint.ParseCustom(endpoint.OpenSearch, "us-west-1", address)
		if err != nil {
			return
		}
		if e.Host != hostIn(address) && !strings.Contains(e.Host, ":") || e.Kind != endpoint.KindCustom {
			t.Fatalf("%q: %+v", address, e)
		}
		words := regexp.MustCompile(`[^a-z0-9-]+`).Split(e.Host, -1)
		if slices.Contains(words, "amazonaws") || endpoint.InDomain(endpoint.OpenSearch, "us-west-1", endpoint.PartitionAWS, e.Host) {
			t.Fatalf("%q is taken for a host of one's own: %s", address, e.Host)
		}
	})
}

// FuzzInDomain has hosts that an answer of AWS could name, and decides by a list of what the domain of a service is.
func FuzzInDomain(f *testing.F) {
	types := map[endpoint.Type]string{
		endpoint.RDS: "us-west-1.rds", endpoint.RDSProxy: "us-west-1.rds", endpoint.DocumentDB: "us-west-1.docdb", endpoint.Redshift: "us-west-1.redshift",
		endpoint.RedshiftServerless: "us-west-1.redshift-serverless", endpoint.ElastiCache: "usw1.cache", endpoint.ElastiCacheServerless: "serverless.usw1.cache",
		endpoint.MemoryDB: "memorydb.us-west-1", endpoint.OpenSearch: "us-west-1.es",
	}
	for _, suffix := range types {
		f.Add("a.b." + suffix + ".amazonaws.com")
		f.Add("a.b." + suffix + ".amazonaws.com.evil.test")
	}
	f.Add("x.proxy-abc.us-west-1.rds.amazonaws.com")
	f.Add("x." + strings.Repeat("a", 64) + ".us-west-1.rds.amazonaws.com")
	f.Fuzz(func(t *testing.T, host string) {
		for kind, suffix := range types {
			in := endpoint.InDomain(kind, "us-west-1", endpoint.PartitionAWS, host)
			if in && (!strings.HasSuffix(host, "."+suffix+".amazonaws.com") || !awsHost.MatchString(host)) {
				t.Fatalf("%q is in the domain of %s", host, kind)
			}
			if endpoint.InDomain(kind, "cn-north-1", endpoint.PartitionAWS, host) || endpoint.InDomain(kind, "us-west-1", endpoint.PartitionChina, host) {
				t.Fatalf("%q is in the domain of %s under another partition", host, kind)
			}
		}
		if endpoint.InDomain(endpoint.RDS, "us-west-1", endpoint.PartitionAWS, host) && endpoint.InDomain(endpoint.RDSProxy, "us-west-1", endpoint.PartitionAWS, host) {
			t.Fatalf("%q is in two domains", host)
		}
	})
}

// FuzzRoleUser resolves database users, who choose their names.
func FuzzRoleUser(f *testing.F) {
	f.Add("arn:aws:iam::123456789012:role/team/reader", "reader", "123456789012", "")
	f.Add("role/reader", "role/team/reader", "", "arn:aws:iam::210987654321:role/agent")
	f.Add("IAMR:reader", "arn:aws:iam::999999999999:role/reader", "", "")
	types := []endpoint.Type{endpoint.RDS, endpoint.Redshift, endpoint.RedshiftServerless, endpoint.DocumentDB, endpoint.DynamoDB}
	f.Fuzz(func(t *testing.T, a, b, account, assumed string) {
		if account != "" && !endpoint.IsAccount(account) {
			return // databases have no such account
		}
		known := account
		if role, err := endpoint.ParseRole(assumed); err == nil && known == "" {
			known = role.Account
		}
		for _, kind := range types {
			u := endpoint.RoleUser{Type: kind, Region: "us-west-1", Account: account, AssumeRoleARN: assumed, CallerAccount: "555555555555"}
			role, isRole, err := u.Resolve(a)
			if err == nil && isRole {
				if role.Partition != endpoint.PartitionAWS || known != "" && role.Account != known {
					t.Fatalf("%s: %q is %s, and the database in account %q", kind, a, role, known)
				}
				if again, err := endpoint.ParseRole(role.String()); err != nil || again != role {
					t.Fatalf("%s: %q is %q, which is read as %+v, %v", kind, a, role, again, err)
				}
			}
			same, maybe := u.Same(a, b)
			if other, otherMaybe := u.Same(b, a); other != same || otherMaybe != maybe {
				t.Fatalf("%s: %q and %q: %t, %t, the other way round %t, %t", kind, a, b, same, maybe, other, otherMaybe)
			}
			if self, _ := u.Same(a, a); !self || same && !maybe {
				t.Fatalf("%s: %q is not itself, or surely and not perhaps %q", kind, a, b)
			}
			if other, otherIs, otherErr := u.Resolve(b); same && a != b && (err != nil || otherErr != nil || !isRole || !otherIs || role != other) {
				t.Fatalf("%s: %q and %q are the same, and %v and %v", kind, a, b, role, other)
			}
		}
	})
}

// FuzzDialAllowed has an address of IPv4 in all its clothes: what is refused in one must be in each.
func FuzzDialAllowed(f *testing.F) {
	for _, seed := range []string{"169.254.169.254", "127.0.0.1", "10.0.0.1", "0.1.2.3", "255.255.255.255", "224.0.0.1", "203.0.113.9"} {
		f.Add(netip.MustParseAddr(seed).AsSlice(), byte(0), byte(0))
	}
	f.Fuzz(func(t *testing.T, bytes []byte, one, two byte) {
		if len(bytes) == 16 { // any address of IPv6: what net.IP says of it counts
			addr := netip.AddrFrom16([16]byte(bytes))
			ip := net.IP(bytes)
			bad := ip.IsLoopback() || ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip[0] == 0xfd && ip[1] == 0 && ip[2] == 0x0e && ip[3] == 0xc2
			if bad && endpoint.DialAllowed(addr) == nil {
				t.Fatalf("%s may be dialled", addr)
			}
			if endpoint.DialAllowed(addr.WithZone("eth0")) == nil && addr.Unmap().Is6() {
				t.Fatalf("%s may be dialled on one interface", addr)
			}
			return
		}
		if len(bytes) != 4 {
			return
		}
		v4 := [4]byte(bytes)
		plain := endpoint.DialAllowed(netip.AddrFrom4(v4))
		ip := net.IP(bytes)
		if (ip.IsLoopback() || ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip[0] == 0 || ip[0] >= 240) != (plain != nil) {
			t.Fatalf("%s: %v", ip, plain)
		}
		for _, clothed := range []string{
			fmt.Sprintf("::ffff:%s", ip), fmt.Sprintf("::%s", ip), fmt.Sprintf("64:ff9b::%s", ip),
			fmt.Sprintf("64:ff9b:1:%02x%02x::%s", one, two, ip), fmt.Sprintf("2002:%02x%02x:%02x%02x:%02x::%x", v4[0], v4[1], v4[2], v4[3], one, two),
		} {
			addr := netip.MustParseAddr(clothed)
			if plain != nil && endpoint.DialAllowed(addr) == nil {
				t.Fatalf("%s may not be dialled, and as %s may", ip, addr)
			}
		}
	})
}
