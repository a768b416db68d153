package iampolicy

// Limits in characters, white space not counted. Those of inline policies hold for all inline policies
// of an identity together ("IAM and AWS STS quotas" in the IAM user guide).
const (
	LimitUserInline  = 2048
	LimitGroupInline = 5120
	LimitRoleInline  = 10240
	LimitManaged     = 6144 // of one managed policy
)

// Size returns how much of a limit the document takes.
func (d Document) Size() int { return len(d.Compact()) }

// Grant is what one database needs.
type Grant struct {
	Database   string
	Statements []Statement
}

// Part is a policy that keeps within a limit, and the databases it serves.
type Part struct {
	Databases []string
	Document  Document
}

// Fit divides grants into policies that each keep within the limit. The first one says what fits
// without a division; each further one asks for a role of its own. Databases that share their resources,
// such as the endpoints of one cluster, stay together. tooLarge are those that fit nowhere.
func Fit(limit int, grants []Grant) (parts []Part, tooLarge []string) {
	var bins []bin
next:
	for _, grant := range grants {
		for i := range bins {
			if bins[i].covers(grant) {
				bins[i].databases = append(bins[i].databases, grant.Database)
				continue next
			}
		}
		if last := len(bins) - 1; last >= 0 && bins[last].add(limit, grant) {
			continue
		}
		fresh := bin{has: map[string]bool{}}
		if !fresh.add(limit, grant) {
			tooLarge = append(tooLarge, grant.Database)
			continue
		}
		bins = append(bins, fresh)
	}
	for _, b := range bins {
		parts = append(parts, Part{Databases: b.databases, Document: Merge(b.statements...)})
	}
	return parts, tooLarge
}

// bin is a policy in the making.
type bin struct {
	databases  []string
	statements []Statement
	has        map[string]bool // permissions, as identity of the statement and resource
}

// add puts the grant into the bin if it keeps within the limit.
func (b *bin) add(limit int, grant Grant) bool {
	statements := append(b.statements[:len(b.statements):len(b.statements)], grant.Statements...)
	merged := Merge(statements...)
	if merged.Size() > limit {
		return false
	}
	b.statements = merged.Statements
	b.databases = append(b.databases, grant.Database)
	for key := range permissions(grant) {
		b.has[key] = true
	}
	return true
}

func (b *bin) covers(grant Grant) bool {
	for key := range permissions(grant) {
		if !b.has[key] {
			return false
		}
	}
	return true
}

func permissions(grant Grant) map[string]bool {
	all := map[string]bool{}
	for _, s := range grant.Statements {
		for _, resource := range s.Resources {
			all[identity(s)+resource] = true
		}
	}
	return all
}
