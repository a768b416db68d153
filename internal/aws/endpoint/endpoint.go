// Package endpoint reads what a host name of AWS says about the database behind it: the service, the
// region, the partition, ids. It also holds the rules of regions, partitions and ARNs of roles, and says
// which names and addresses an AWS database may have.
//
// A name is read once. Endpoint.Host and Endpoint.Port are what is dialled, what a token is signed for
// and what a certificate is checked against; no other spelling of them is kept.
package endpoint

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Endpoint is what a host name says. Endpoints are comparable, and Parse(e.String()) gives e again.
type Endpoint struct {
	Type      Type
	Host      string // lower case, without a dot at the end
	Port      uint16 // as written, or the only usual one of the service; 0 if neither, for RDS and RDS Proxy
	Region    string // such as us-east-1
	Partition string // one of the Partition constants
	Account   string // 12 digits; named by Redshift Serverless and by DynamoDB's account endpoints only
	Kind      string // one of the Kind constants, or empty where the service has one kind or the name does not say
	TLS       TLS
	FIPS      bool // the name is one of the service's FIPS endpoints

	// What the name identifies. Which of these are set follows from Type and Kind.
	InstanceID       string // RDS, DocumentDB
	ClusterID        string // Aurora, DocumentDB, Redshift
	CustomName       string // custom endpoint of an Aurora cluster; its ClusterID is not in the name
	ProxyName        string // RDS Proxy, default endpoint
	ProxyEndpoint    string // RDS Proxy, custom endpoint; its proxy is not in the name
	Workgroup        string // Redshift Serverless
	VPCEndpoint      string // Redshift Serverless, managed VPC endpoint; its workgroup is not in the name
	ReplicationGroup string // ElastiCache
	CacheName        string // ElastiCache Serverless
	ClusterName      string // MemoryDB
	Service          string // DynamoDB: "dynamodb", "streams" or "dax"
}

// Address returns host:port as it is dialled, or the host alone while the port is not known.
func (e Endpoint) Address() string {
	if e.Port == 0 {
		return e.Host
	}
	return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}

// String returns the address.
func (e Endpoint) String() string { return e.Address() }

// ErrNotAWS is wrapped by the error of Parse when the host does not lie in the domain of AWS at all, as
// hosts of one's own and custom domains of OpenSearch do.
var ErrNotAWS = errors.New("is not a host name of AWS")

// ErrUnsupported is wrapped by the error of Parse for endpoints that are known and not supported.
var ErrUnsupported = errors.New("which is not supported")

// FormError is the error of Parse for a host in the domain of AWS that has not the form of an endpoint.
type FormError struct {
	Type    Type // whose label the host carries, the first of those that share it; empty for none of a database
	message string
}

// Error returns a sentence about the host.
func (e *FormError) Error() string { return e.message }

// Parse reads a host, host:port or a URI with one host. The error is a sentence about the host; it wraps
// ErrNotAWS or ErrUnsupported, or is a FormError, where that is the reason. Otherwise the address could not be
// read, and what it says is not quoted where it may hold a password.
func Parse(address string) (Endpoint, error) {
	host, port, err := split(address)
	if err != nil {
		return Endpoint{}, err
	}
	e, err := parseHost(host)
	if err != nil {
		return Endpoint{}, err
	}
	e.Port = port
	if port == 0 {
		e.Port = usualPort(e.Type)
	}
	return e, nil
}

// ParseCustom reads the address of a database that has a host name of its owner's, as OpenSearch domains
// with a custom endpoint do. Names in the domain of AWS, and those that only look so, are refused: what
// they say would be passed over.
func ParseCustom(t Type, region, address string) (Endpoint, error) {
	host, port, err := split(address)
	if err != nil {
		return Endpoint{}, err
	}
	if _, ok := inAWS(host); ok || LooksLikeAWS(host) {
		return Endpoint{}, fmt.Errorf("%q is not a host name of one's own", host)
	}
	if !place.MatchString(region) {
		return Endpoint{}, fmt.Errorf("the region of %q is not known", host)
	}
	if port == 0 {
		port = usualPort(t)
	}
	return Endpoint{Type: t, Host: host, Port: port, Region: region, Partition: PartitionOf(region), Kind: KindCustom}, nil
}

// name is a host taken apart: its labels before the domain of AWS.
type name struct {
	host   string
	labels []string
	china  bool // the domain is the one of China, amazonaws.com.cn
}

// services are tried in this order; one reader claims a name by its service label.
var services = []func(name) (Endpoint, bool, error){
	unsupported, rds, redshift, redshiftServerless, elastiCache, memoryDB, documentDB, openSearch, dynamoDB, keyspaces,
}

func parseHost(host string) (Endpoint, error) {
	n, ok := inAWS(host)
	if !ok {
		return Endpoint{}, fmt.Errorf("%q %w", host, ErrNotAWS)
	}
	for _, read := range services {
		e, mine, err := read(n)
		if err != nil {
			return Endpoint{}, err
		}
		if !mine {
			continue
		}
		e.Host = host
		e.Partition = PartitionOf(e.Region)
		if err := n.fits(e); err != nil {
			return Endpoint{}, err
		}
		return e, nil
	}
	return Endpoint{}, n.wrong("", "is a host name of AWS, but not of a database service known here")
}

// inAWS takes a host apart that lies in one of the domains of AWS. GovCloud shares the first.
func inAWS(host string) (name, bool) {
	for _, partition := range []string{PartitionAWS, PartitionChina} {
		if before, ok := strings.CutSuffix(host, "."+DNSSuffix(partition)); ok {
			return name{host: host, labels: strings.Split(before, "."), china: partition == PartitionChina}, true
		}
	}
	return name{}, false
}

// fits refuses regions that do not exist, or not under the domain they are written with.
func (n name) fits(e Endpoint) error {
	if !place.MatchString(e.Region) || strings.Contains(e.Region, "-iso") {
		return n.wrong(e.Type, fmt.Sprintf("names %q where a region belongs", e.Region))
	}
	if n.china != (e.Partition == PartitionChina) {
		return n.wrong(e.Type, fmt.Sprintf("names region %s, whose hosts end with %s", e.Region, DNSSuffix(e.Partition)))
	}
	return nil
}

// malformed is the error for a name that has a service's label but not the service's form.
func (n name) malformed(t Type) error { return n.wrong(t, "is not an endpoint of "+t.Title()) }

func (n name) wrong(t Type, how string) error {
	return &FormError{Type: t, message: fmt.Sprintf("%q %s", n.host, how)}
}

// byRegion splits the labels before service and region, which China writes in the other order.
func (n name) byRegion(service string) (before []string, region string, ok bool) {
	last := len(n.labels) - 1
	if last < 2 {
		return nil, "", false
	}
	at, in := last, last-1
	if n.china {
		at, in = in, at
	}
	return n.labels[:last-1], n.labels[in], n.labels[at] == service
}

// unsupported recognises endpoints that would otherwise be taken for something they are not.
func unsupported(n name) (Endpoint, bool, error) {
	what, instead := "", ""
	switch _, region, ofRDS := n.byRegion("rds"); {
	case ofRDS && region == "global":
		what, instead = "the writer endpoint of an Aurora global database", "; use the cluster endpoint of the region"
	case n.has("docdb-elastic"):
		what, instead = "an elastic cluster of DocumentDB", "; use an instance-based cluster"
	case n.has("aoss"):
		what, instead = "a collection of OpenSearch Serverless", "; use an OpenSearch domain"
	case len(n.labels) > 3 && n.labels[len(n.labels)-3] == "cfg" && n.has("cache"):
		what, instead = "a cluster of Memcached", "; use Redis OSS or Valkey"
	case n.china && n.has("redshift-serverless"):
		what = "Redshift Serverless in China"
	default:
		return Endpoint{}, false, nil
	}
	return Endpoint{}, true, fmt.Errorf("%q is %s, %w%s", n.host, what, ErrUnsupported, instead)
}

// has reports whether the label is one of the last two, where services are named.
func (n name) has(label string) bool {
	last := len(n.labels) - 1
	return n.labels[last] == label || last > 0 && n.labels[last-1] == label
}
