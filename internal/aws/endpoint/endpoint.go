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

// Type is a kind of database in AWS, as listings, matchers and audit events name it.
type Type string

// The types.
const (
	RDS                   Type = "rds" // instances and Aurora
	RDSProxy              Type = "rdsproxy"
	Redshift              Type = "redshift"
	RedshiftServerless    Type = "redshift-serverless"
	ElastiCache           Type = "elasticache"
	ElastiCacheServerless Type = "elasticache-serverless"
	MemoryDB              Type = "memorydb"
	OpenSearch            Type = "opensearch"
	DocumentDB            Type = "docdb"
	DynamoDB              Type = "dynamodb"
	Keyspaces             Type = "keyspace"
)

// Types returns all types, in the order of the constants.
func Types() []Type {
	return []Type{RDS, RDSProxy, Redshift, RedshiftServerless, ElastiCache, ElastiCacheServerless, MemoryDB, OpenSearch,
		DocumentDB, DynamoDB, Keyspaces}
}

// Kinds of endpoints, as the label endpoint-type names them.
const (
	KindInstance      = "instance"
	KindPrimary       = "primary"
	KindReader        = "reader"
	KindCustom        = "custom"
	KindCluster       = "cluster"
	KindNode          = "node"
	KindConfiguration = "configuration"
	KindWorkgroup     = "workgroup"
	KindVPCEndpoint   = "vpc-endpoint"
)

// TLS is what a host name says about encryption.
type TLS int

// What a name may say. Most say nothing.
const (
	TLSNotSaid TLS = iota
	TLSOn
	TLSOff
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

// Parse reads a host, host:port or a URI with one host. The error is the end of a sentence about the
// address; it wraps ErrNotAWS where that is the reason.
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
	return Endpoint{}, fmt.Errorf("%q is a host name of AWS, but not of a database service known here", host)
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
		return fmt.Errorf("%q names %q where a region belongs", n.host, e.Region)
	}
	if n.china != (e.Partition == PartitionChina) {
		return fmt.Errorf("%q names region %s, whose hosts end with %s", n.host, e.Region, DNSSuffix(e.Partition))
	}
	return nil
}

// malformed is the error for a name that has a service's label but not the service's form.
func (n name) malformed(service string) error {
	return fmt.Errorf("%q is not an endpoint of %s", n.host, service)
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
	why := ""
	switch _, region, ofRDS := n.byRegion("rds"); {
	case ofRDS && region == "global":
		why = "is the writer endpoint of an Aurora global database, which names no region; use the cluster endpoint of the region"
	case n.has("docdb-elastic"):
		why = "is an elastic cluster of DocumentDB, which is not supported; use an instance-based cluster"
	case n.has("aoss"):
		why = "is a collection of OpenSearch Serverless, which is not supported; use an OpenSearch domain"
	case n.china && n.has("redshift-serverless"):
		why = "is Redshift Serverless in China, which is not supported"
	default:
		return Endpoint{}, false, nil
	}
	return Endpoint{}, true, fmt.Errorf("%q %s", n.host, why)
}

// has reports whether the label is one of the last two, where services are named.
func (n name) has(label string) bool {
	last := len(n.labels) - 1
	return n.labels[last] == label || last > 0 && n.labels[last-1] == label
}

// usualPort returns the port of services that have one; RDS depends on the engine.
func usualPort(t Type) uint16 {
	switch t {
	case Redshift, RedshiftServerless:
		return 5439
	case ElastiCache, ElastiCacheServerless, MemoryDB:
		return 6379
	case DocumentDB:
		return 27017
	case OpenSearch, DynamoDB:
		return 443
	case Keyspaces:
		return 9142
	default:
		return 0
	}
}
