package finder

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/internal/access"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/labels"
	"sallyport/internal/resource"
)

// databases makes resources of what was found. What AWS says and cannot be right is left out.
func (l *look) databases() ([]*resource.Database, error) {
	var all []named
	known := map[string]bool{}
	lacking := map[string]error{}
	for i := range l.found {
		c := &l.found[i]
		db, err := l.database(c)
		if err != nil {
			l.log.Warn("database is passed over because what AWS says of it cannot be right", "id", c.id, "error", err)
			continue
		}
		if known[db.Spec.URI] { // a list that changes while it is read can name a database on two pages
			continue
		}
		known[db.Spec.URI] = true
		if c.lacks != nil {
			lacking[db.Spec.URI] = c.lacks
		}
		if access.MatchLabels(l.Tags, db.Metadata.Labels) {
			all = append(all, named{candidate: c, db: db})
		}
	}
	l.nameAll(all)
	return l.finished(all, lacking)
}

// finished completes and checks the databases.
func (l *look) finished(all []named, lacking map[string]error) ([]*resource.Database, error) {
	var dbs []*resource.Database
	for _, n := range all {
		n.db.Metadata.Labels[resource.LabelDiscovered] = n.short
		n.db.Metadata.Labels[resource.LabelOrigin] = resource.OriginCloud
		n.db.Metadata.Labels[labelType] = l.Type
		if err := n.db.Validate(); err != nil {
			l.log.Warn("database is passed over because it does not make a valid resource", "id", n.id, "error", err)
			continue
		}
		dbs = append(dbs, n.db)
	}
	slices.SortFunc(dbs, func(a, b *resource.Database) int { return strings.Compare(a.Metadata.Name, b.Metadata.Name) })
	if len(lacking) > 0 {
		l.unseen = append(l.unseen, labelsOf(lacking))
	}
	if len(l.unseen) > 0 {
		return dbs, &PartialError{Parts: l.unseen}
	}
	return dbs, nil
}

// labelType says which kind of look found a database.
const labelType = "teleport.dev/discovery-type"

// database makes a resource, without a name, and with the labels that tags are matched against.
func (l *look) database(c *candidate) (*resource.Database, error) {
	at, err := l.endpoint(c)
	if err != nil {
		return nil, err
	}
	account, err := l.account(c)
	if err != nil {
		return nil, err
	}
	db := &resource.Database{}
	db.Kind, db.Version = resource.KindDatabase, slices.Max(resource.Versions(resource.KindDatabase))
	db.Metadata.Description = c.description
	db.Metadata.Labels = l.labels(c, account)
	db.Spec.Protocol, db.Spec.URI = c.protocol, at.Address()
	db.Spec.TLS.ServerName = c.serverName
	db.Spec.AWS = c.AWS
	db.Spec.AWS.Region, db.Spec.AWS.AccountID = l.Region, account
	db.Spec.AWS.AssumeRoleARN, db.Spec.AWS.ExternalID = l.AssumeRoleARN, l.ExternalID
	return db, nil
}

// endpoint reads the address that AWS tells. It must be of the service, region and kind that were asked for; domains of
// OpenSearch may have an address of their owner's besides.
func (l *look) endpoint(c *candidate) (endpoint.Endpoint, error) {
	if c.serverName != "" && !endpoint.InDomain(endpoint.Type(l.Type), l.Region, endpoint.PartitionOf(l.Region), c.serverName) {
		return endpoint.Endpoint{}, fmt.Errorf("the server name %q is not one of its service in %s", c.serverName, l.Region)
	}
	if l.Type == string(endpoint.OpenSearch) && c.kind == endpoint.KindCustom {
		at, err := endpoint.ParseCustom(endpoint.OpenSearch, l.Region, c.address)
		if err == nil && !public(at.Host) {
			err = fmt.Errorf("the custom endpoint %q is an address, or a name of this network", at.Host)
		}
		return at, err
	}
	at, err := endpoint.Parse(c.address)
	switch {
	case err != nil:
		return at, err
	case string(at.Type) != l.Type, at.Region != l.Region, at.Kind != c.kind:
		return at, fmt.Errorf("%q is not an endpoint %s of %s in %s", at.Host, c.kind, endpoint.Type(l.Type).Title(), l.Region)
	}
	return at, nil
}

// public reports whether a host ends with a label that can be a top-level domain: those begin with a letter, and addresses
// in whatever form do not.
func public(host string) bool {
	at := strings.LastIndexByte(host, '.')
	return at >= 0 && host[at+1] >= 'a' && host[at+1] <= 'z'
}

// account returns the account in the database's ARN.
func (l *look) account(c *candidate) (string, error) {
	if c.ARN == "" {
		if role, err := endpoint.ParseRole(l.AssumeRoleARN); err == nil {
			return role.Account, nil
		}
		return "", nil
	}
	arn, err := endpoint.ParseARN(c.ARN)
	switch {
	case err != nil:
		return "", err
	case arn.Region != l.Region, arn.Partition != endpoint.PartitionOf(l.Region), !endpoint.IsAccount(arn.Account):
		return "", fmt.Errorf("the ARN %q is not one of region %s", c.ARN, l.Region)
	}
	return arn.Account, nil
}

func (l *look) labels(c *candidate, account string) map[string]string {
	own := labels.Place(account, l.Region)
	maps.Copy(own, c.Labels)
	maps.Copy(own, c.labels)
	maps.DeleteFunc(own, func(_, value string) bool { return value == "" })
	all := labels.Tagged(own, c.Tags)
	var dropped []string
	for key, value := range c.Tags {
		if label, ok := all[key]; !ok || label != value {
			dropped = append(dropped, key)
		}
	}
	if len(dropped) > 0 {
		slices.Sort(dropped)
		l.log.Debug("some tags of database do not become labels: their names have a meaning or do not do", "id", c.id, "tags", dropped)
	}
	return all
}
