package finder

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/resource"
)

// Tags that name a database. The first wins.
var nameTags = []string{"TeleportDatabaseName", "teleport.dev/database_name"}

// named is a candidate on its way to a name.
type named struct {
	*candidate
	db    *resource.Database
	short string // the name without what makes it unique
	byTag bool
}

// nameTag returns the name that a tag gives to a database, or "".
func (c *candidate) nameTag() string {
	for _, tag := range nameTags {
		if name := c.Tags[tag]; name != "" {
			return name
		}
	}
	return ""
}

// name gives a name to the candidate: that of its tag if there is one, allowed and possible.
func (l *look) name(n *named, tagAllowed bool) {
	n.byTag = false
	if tag := n.nameTag(); tag != "" && tagAllowed {
		if name := joined(tag, n.endpoint); resource.IsDatabaseName(tag) && resource.IsDatabaseName(name) {
			n.short, n.byTag, n.db.Metadata.Name = name, true, name
			return
		}
		l.log.Warn("tag does not give its database a name: names consist of letters, digits and hyphens and begin with a letter", "id", n.id, "name", tag)
	}
	n.short = joined(n.id, n.endpoint)
	if !resource.IsDatabaseName(n.short) { // ids of some services may begin with a digit
		n.short = joined(l.Type, n.short)
	}
	n.db.Metadata.Name = l.unique(n)
}

// unique adds to a name what tells it from those of other types, regions and accounts, as far as the name does not say it.
func (l *look) unique(n *named) string {
	aurora := ""
	if l.Type == string(endpoint.RDS) && n.AWS.RDS.InstanceID == "" {
		aurora = "aurora"
	}
	name := n.short
	for _, part := range []string{l.Type, aurora, l.Region, n.db.Spec.AWS.AccountID} {
		part = tidy(part)
		longer := joined(name, part)
		if part == "" || strings.Contains(strings.ToLower(name), strings.ToLower(part)) || !resource.IsDatabaseName(longer) {
			continue
		}
		name = longer
	}
	return name
}

func joined(name, part string) string {
	if part == "" {
		return name
	}
	return name + "-" + part
}

func tidy(part string) string {
	part = strings.ReplaceAll(part, " ", "-")
	for strings.Contains(part, "--") {
		part = strings.ReplaceAll(part, "--", "-")
	}
	return strings.Trim(part, "-")
}

// nameAll gives each candidate a name of its own. A name that two of them claim belongs to neither, so that nobody can
// lead users of one database to another by making or tagging that one: tags lose first, and then all get a part
// that follows from their address.
func (l *look) nameAll(all []named) {
	for i := range all {
		l.name(&all[i], true)
	}
	for again := true; again; {
		again = false
		for _, n := range claimedTwice(all) {
			if n.byTag {
				l.log.Warn("tag does not give its database a name that another database has", "id", n.id, "name", n.db.Metadata.Name)
				l.name(n, false)
				again = true
			}
		}
	}
	for _, n := range claimedTwice(all) {
		hash := sha256.Sum256([]byte(n.address))
		name := joined(n.db.Metadata.Name, hex.EncodeToString(hash[:4]))
		l.log.Warn("two databases would have the same name; both are told apart by a number", "id", n.id, "name", name)
		n.db.Metadata.Name = name
	}
}

func claimedTwice(all []named) []*named {
	claims := map[string]int{}
	for i := range all {
		claims[all[i].db.Metadata.Name]++
	}
	var twice []*named
	for i := range all {
		if claims[all[i].db.Metadata.Name] > 1 {
			twice = append(twice, &all[i])
		}
	}
	return twice
}
