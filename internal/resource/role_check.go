package resource

import (
	"slices"
	"strings"
	"time"

	"sallyport/internal/predicate"
	"sallyport/internal/yamlnode"
)

func (r *Role) check(p *problems) {
	checkName(p, "metadata.name", r.Metadata.Name)
	r.setDefaults()
	r.Spec.Options.check(p)
	r.Spec.Allow.check(p, "spec.allow", false)
	r.Spec.Deny.check(p, "spec.deny", true)
}

// setDefaults fills in what older versions grant when nothing is written.
func (r *Role) setDefaults() {
	if r.Version != "v3" {
		return
	}
	a := &r.Spec.Allow
	all := func(l *Labels) {
		if *l == nil {
			*l = Labels{"*": {"*"}}
		}
	}
	all(&a.DatabaseLabels)
	all(&a.AppLabels)
	all(&a.KubernetesLabels)
	if len(a.Logins) > 0 {
		all(&a.NodeLabels)
	}
}

// selectors lists every label selector with its expression.
func (c *RoleConditions) selectors() []struct {
	key        string
	labels     Labels
	expression string
} {
	return []struct {
		key        string
		labels     Labels
		expression string
	}{
		{"db_labels", c.DatabaseLabels, c.DatabaseLabelsExpression},
		{"db_service_labels", c.DatabaseServiceLabels, c.DatabaseServiceLabelsExpression},
		{"cluster_labels", c.ClusterLabels, c.ClusterLabelsExpression},
		{"node_labels", c.NodeLabels, c.NodeLabelsExpression},
		{"group_labels", c.GroupLabels, c.GroupLabelsExpression},
		{"app_labels", c.AppLabels, c.AppLabelsExpression},
		{"kubernetes_labels", c.KubernetesLabels, c.KubernetesLabelsExpression},
		{"windows_desktop_labels", c.WindowsDesktopLabels, c.WindowsDesktopLabelsExpression},
		{"workload_identity_labels", c.WorkloadIdentityLabels, c.WorkloadIdentityLabelsExpression},
	}
}

func (c *RoleConditions) check(p *problems, path string, deny bool) {
	for _, s := range c.selectors() {
		checkLabels(p, path+"."+s.key, s.labels)
		if s.expression != "" {
			checkPredicate(p, path+"."+s.key+"_expression", s.expression, predicate.ForLabels())
		}
		if !deny {
			continue
		}
		// An agent that cannot run the command of a dynamic label would lift the denial.
		for _, key := range sortedKeys(s.labels) {
			if strings.HasPrefix(key, "dynamic/") {
				p.add(yamlnode.KeyPath(path+"."+s.key, key), "labels under dynamic/ cannot be used to deny")
			}
		}
		if strings.Contains(s.expression, `"dynamic/`) {
			p.add(path+"."+s.key+"_expression", "labels under dynamic/ cannot be used to deny")
		}
	}
	checkExactNames(p, path+".db_users", c.DatabaseUsers)
	checkExactNames(p, path+".db_names", c.DatabaseNames)
	checkExactNames(p, path+".db_roles", c.DatabaseRoles)
	checkCommandNames(p, path+".db_commands", c.DatabaseCommands)
	if i := slices.Index(c.DatabaseRoles, "*"); i >= 0 && !deny {
		p.add(yamlnode.IndexPath(path+".db_roles", i), `"*" is not allowed here; name the roles`)
	}
	for _, l := range []struct {
		key  string
		list Strings
	}{
		{"logins", c.Logins}, {"kubernetes_groups", c.KubernetesGroups}, {"kubernetes_users", c.KubernetesUsers},
		{"aws_role_arns", c.AWSRoleARNs}, {"azure_identities", c.AzureIdentities}, {"gcp_service_accounts", c.GCPServiceAccounts},
		{"windows_desktop_logins", c.WindowsDesktopLogins},
	} {
		for i, entry := range l.list {
			checkTemplate(p, yamlnode.IndexPath(path+"."+l.key, i), entry)
		}
	}
	c.checkPermissions(p, path+".db_permissions", deny)
	for i, rule := range c.Rules {
		rule.check(p, yamlnode.IndexPath(path+".rules", i))
	}
	c.checkRequests(p, path, deny)
	if c.Impersonate != nil && c.Impersonate.Where != "" {
		checkPredicate(p, path+".impersonate.where", c.Impersonate.Where, predicate.ForRules())
	}
}

// checkLabels refuses selectors that would match something else than their writer can have meant.
func checkLabels(p *problems, path string, labels Labels) {
	for _, key := range sortedKeys(labels) {
		values, at := labels[key], yamlnode.KeyPath(path, key)
		if key == "" {
			p.add(at, "a label needs a name")
		}
		if key == "*" && !labels.IsAll() {
			p.add(at, `the name "*" takes the single value "*"; list the labels by name instead`)
		}
		if len(values) == 0 {
			p.add(at, `needs a value; use "*" for any`)
		}
		for i, value := range values {
			vpath := at
			if len(values) > 1 {
				vpath = yamlnode.IndexPath(at, i)
			}
			if strings.Contains(value, "{{") {
				checkTemplate(p, vpath, value)
			} else if _, err := ParsePattern(value); err != nil {
				p.add(vpath, "%s", err)
			}
		}
	}
}

// checkExactNames refuses patterns, because db_users and the like are compared exactly: a denial of
// "admin*" would deny nothing.
func checkExactNames(p *problems, path string, names Strings) {
	for i, name := range names {
		at := yamlnode.IndexPath(path, i)
		switch {
		case name == "":
			p.add(at, "must not be empty")
		case strings.Contains(name, "{{") || strings.Contains(name, "}}"):
			checkTemplate(p, at, name)
		case name != "*" && (strings.Contains(name, "*") || isRegexp(name)):
			p.add(at, `%q looks like a pattern, but names are compared exactly; write the name, or "*" for any`, name)
		default:
			checkPrintable(p, at, name)
		}
	}
}

func checkTemplate(p *problems, path, entry string) bool {
	if _, err := ParseTemplate(entry); err != nil {
		p.add(path, "%s", err)
		return false
	}
	return true
}

func checkPredicate(p *problems, path, source string, names predicate.Vocabulary) {
	if _, err := predicate.Parse(source, names); err != nil {
		p.add(path, "%s", err)
	}
}

func (c *RoleConditions) checkPermissions(p *problems, path string, deny bool) {
	if len(c.DatabasePermissions) > 0 {
		p.warn(path, noEffect)
	}
	for i, permission := range c.DatabasePermissions {
		at := yamlnode.IndexPath(path, i)
		if len(permission.Match) == 0 {
			p.add(at+".match", "is missing; name the labels of the objects")
		}
		checkLabels(p, at+".match", permission.Match)
		if len(permission.Permissions) == 0 {
			p.add(at+".permissions", "is missing")
		}
		for j, name := range permission.Permissions {
			if strings.TrimSpace(name) == "" || name == "*" && !deny {
				p.add(yamlnode.IndexPath(at+".permissions", j), "name a permission such as SELECT")
			}
		}
	}
}

func verbs() []string {
	return []string{
		VerbAll, VerbList, VerbCreate, VerbRead, VerbReadNoSecrets, VerbUpdate, VerbDelete, VerbRotate, VerbUse,
		VerbCreateEnrollToken, VerbEnroll,
	}
}

func (r *Rule) check(p *problems, path string) {
	if len(r.Resources) == 0 {
		p.add(path+".resources", "is missing")
	}
	for i, kind := range r.Resources {
		at := yamlnode.IndexPath(path+".resources", i)
		checkName(p, at, kind)
		checkRuleKind(p, at, kind)
	}
	if len(r.Verbs) == 0 {
		p.add(path+".verbs", "is missing")
	}
	for i, verb := range r.Verbs {
		checkOneOf(p, yamlnode.IndexPath(path+".verbs", i), verb, verbs()...)
	}
	if r.Where != "" {
		checkPredicate(p, path+".where", r.Where, predicate.ForRules())
	}
}

// checkRuleKind doubts names that are no kind. They are no error, because roles are shared with access planes that have more; but
// a misspelt one in a rule that denies would deny nothing.
func checkRuleKind(p *problems, path, kind string) {
	known := Kinds()
	switch meant, isAlias := KindByAlias(kind); {
	case slices.Contains(known, kind) || slices.Contains(ruleKinds, kind):
	case isAlias:
		p.warn(path, "is %q, for which rules write %s; it allows and denies nothing", kind, meant)
	default:
		p.warn(path, "is %q, which is no kind that is known here; it allows and denies nothing. Kinds are %s, %s and %s", kind,
			strings.Join(known, ", "), KindSession, KindEvent)
	}
}

const maxRequestDuration = Duration(14 * 24 * time.Hour)

func (c *RoleConditions) checkRequests(p *problems, path string, deny bool) {
	if r := c.Request; r != nil {
		at := path + ".request"
		checkRolePatterns(p, at+".roles", r.Roles)
		for i, role := range r.SearchAsRoles {
			if strings.Contains(role, "*") || isRegexp(role) {
				p.add(yamlnode.IndexPath(at+".search_as_roles", i), "must be the name of a role; patterns are not supported here")
			}
		}
		checkClaims(p, at+".claims_to_roles", r.ClaimsToRoles)
		if deny && len(r.Thresholds) > 0 {
			p.add(at+".thresholds", "cannot be used to deny")
		}
		for i, t := range r.Thresholds {
			if t.Approve < 0 || t.Deny < 0 {
				p.add(yamlnode.IndexPath(at+".thresholds", i), "must not be negative")
			}
		}
		if r.MaxDuration < 0 || r.MaxDuration > maxRequestDuration {
			p.add(at+".max_duration", "must be between 0 and 14 days (336h)")
		}
		if r.Reason != nil {
			checkOneOf(p, at+".reason.mode", r.Reason.Mode, "", "optional", "required")
		}
	}
	if r := c.ReviewRequests; r != nil {
		at := path + ".review_requests"
		checkRolePatterns(p, at+".roles", r.Roles)
		checkRolePatterns(p, at+".preview_as_roles", r.PreviewAsRoles)
		checkClaims(p, at+".claims_to_roles", r.ClaimsToRoles)
		if r.Where != "" {
			checkPredicate(p, at+".where", r.Where, predicate.ForRules())
		}
	}
}

func checkRolePatterns(p *problems, path string, names Strings) {
	for i, name := range names {
		if _, err := ParsePattern(name); err != nil {
			p.add(yamlnode.IndexPath(path, i), "%s", err)
		}
	}
}

func checkClaims(p *problems, path string, mappings []ClaimMapping) {
	for i, m := range mappings {
		if m.Claim == "" || m.Value == "" || len(m.Roles) == 0 {
			p.add(yamlnode.IndexPath(path, i), "needs claim, value and roles")
		}
		if _, err := ParsePattern(m.Value); err != nil {
			p.add(yamlnode.IndexPath(path, i)+".value", "%s", err)
		}
	}
}
