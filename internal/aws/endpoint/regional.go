package endpoint

import (
	"fmt"
	"strings"
)

// openSearch reads the endpoint of a domain. Its first label does not give the domain's name reliably.
func openSearch(n name) (Endpoint, bool, error) {
	last := len(n.labels) - 1
	if n.labels[last] != "es" {
		return Endpoint{}, false, nil
	}
	if last != 2 {
		return Endpoint{}, true, n.malformed(OpenSearch)
	}
	return Endpoint{Type: OpenSearch, Region: n.labels[1]}, true, nil
}

// dynamoDB reads "DynamoDB endpoints" of the AWS general reference and "Account-based endpoints" of the
// DynamoDB developer guide.
func dynamoDB(n name) (Endpoint, bool, error) {
	last := len(n.labels) - 1
	e := Endpoint{Type: DynamoDB, Region: n.labels[last], Service: "dynamodb"}
	switch service := strings.Join(n.labels[:last], "."); {
	case service == "dynamodb":
	case service == "dynamodb-fips":
		e.FIPS = true
	case service == "streams.dynamodb":
		e.Service = "streams"
	case service == "dax":
		e.Service = "dax"
	case last == 2 && n.labels[1] == "ddb" && isDigits(n.labels[0], accountDigits):
		e.Account = n.labels[0]
	case last > 0 && (n.labels[last-1] == "dynamodb" || n.labels[last-1] == "ddb"):
		return Endpoint{}, true, n.malformed(DynamoDB)
	default:
		return Endpoint{}, false, nil
	}
	return e, true, nil
}

// keyspaces reads "Service endpoints for Amazon Keyspaces" of the Keyspaces developer guide.
func keyspaces(n name) (Endpoint, bool, error) {
	service := n.labels[0]
	if service != "cassandra" && service != "cassandra-fips" {
		return Endpoint{}, false, nil
	}
	if len(n.labels) != 2 {
		return Endpoint{}, true, n.malformed(Keyspaces)
	}
	return Endpoint{Type: Keyspaces, Region: n.labels[1], FIPS: service == "cassandra-fips"}, true, nil
}

// HostOf returns the host of a service that has one for each region: DynamoDB and Keyspaces.
func HostOf(t Type, region string) (string, error) {
	service := map[Type]string{DynamoDB: "dynamodb", Keyspaces: "cassandra"}[t]
	if service == "" {
		return "", fmt.Errorf("%s has no host that follows from the region", t)
	}
	if !place.MatchString(region) {
		return "", fmt.Errorf("%q is not a region, as in us-west-1", region)
	}
	return service + "." + region + "." + DNSSuffix(PartitionOf(region)), nil
}
