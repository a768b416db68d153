package bootstrap

import (
	"fmt"
	"strings"

	"sallyport/internal/aws/iampolicy"
	"sallyport/internal/fault"
)

// checkSize refuses a policy that IAM would refuse, and says how to divide it. Only lists of roles make
// policies long; everything else is written once, with "*".
func checkSize(document iampolicy.Document, target Identity) error {
	size := document.Size()
	if size <= iampolicy.LimitManaged {
		return nil
	}
	var fixed []iampolicy.Statement
	var grants []iampolicy.Grant
	for _, s := range document.Statements {
		if len(s.Resources) == 1 {
			fixed = append(fixed, s)
			continue
		}
		for _, resource := range s.Resources {
			one := s
			one.Resources = []string{resource}
			grants = append(grants, iampolicy.Grant{Database: resource, Statements: []iampolicy.Statement{one}})
		}
	}
	for i := range grants {
		grants[i].Statements = append(grants[i].Statements, fixed...)
	}
	parts, _ := iampolicy.Fit(iampolicy.LimitManaged, grants)
	var split strings.Builder
	for i, part := range parts {
		fmt.Fprintf(&split, "\n%d. %d roles, from %s to %s", i+1, len(part.Databases), part.Databases[0], part.Databases[len(part.Databases)-1])
	}
	return fault.New(fault.LimitExceeded, "the policy for the %s takes %d characters without white space, and IAM allows %d; divide the databases among %d Database Services with identities of their own, which assume:%s",
		target, size, iampolicy.LimitManaged, len(parts), split.String())
}
