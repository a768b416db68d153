// Package labels makes labels of a database in AWS: those that say what it is, and its tags as far as tags may say
// anything. Whoever may tag a resource in AWS must gain nothing by it here.
package labels

import (
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/resource"
)

// Names of labels that say what a database is.
const (
	Account       = "account-id"
	Region        = "region"
	Engine        = "engine"
	EngineVersion = "engine-version"
	EndpointType  = "endpoint-type"
	VPC           = "vpc-id"
	Namespace     = "namespace"
	Workgroup     = "workgroup"
	Cloud         = "teleport.dev/cloud"

	CloudAWS = "AWS"
)

// Reserved are prefixes of names that the cluster gives a meaning, each with what a tag could otherwise imitate.
var reserved = []string{
	"teleport.dev/",      // origin, cloud, administrators of accounts
	"teleport.internal/", // names and groups of discovery
	"dynamic/",           // output of commands on the agent
	"aws/",               // tags of the agent's own instance
}

// Place returns the labels that every database in AWS has. Account may be empty.
func Place(account, region string) map[string]string {
	labels := map[string]string{Region: region, Cloud: CloudAWS}
	if account != "" {
		labels[Account] = account
	}
	return labels
}

// Tagged adds to labels the tags that may be labels, and returns the result. A tag never replaces a label.
func Tagged(labels, tags map[string]string) map[string]string {
	all := maps.Clone(labels)
	if all == nil {
		all = make(map[string]string, len(tags))
	}
	for key, value := range tags {
		if _, taken := all[key]; !taken && mayBeLabel(key) && printable(value) {
			all[key] = value
		}
	}
	return all
}

// mayBeLabel refuses names with a meaning, in any spelling, also when the label itself is absent: an account-id that
// AWS did not tell must not be told by a tag.
func mayBeLabel(key string) bool {
	if !printable(key) {
		return false
	}
	folded := strings.ToLower(strings.TrimSpace(key))
	switch folded {
	case "", Account, Region, Engine, EngineVersion, EndpointType, VPC, Namespace, Workgroup:
		return false
	}
	for _, prefix := range reserved {
		if strings.HasPrefix(folded, prefix) {
			return false
		}
	}
	return true
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Configured returns what a database is labelled with in the end: what an administrator wrote, and where that says
// nothing, what was found out.
func Configured(db *resource.Database, found map[string]string) map[string]string {
	all := maps.Clone(found)
	if all == nil {
		all = make(map[string]string)
	}
	maps.Copy(all, db.Metadata.Labels)
	return all
}

// OfEndpoint returns the label of a kind of endpoint; none where there is one kind only.
func OfEndpoint(labels map[string]string, e endpoint.Endpoint) {
	if e.Kind != "" {
		labels[EndpointType] = e.Kind
	}
}
