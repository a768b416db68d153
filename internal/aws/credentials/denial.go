package credentials

import (
	"errors"
	"regexp"
	"strings"

	"github.com/aws/smithy-go"
)

// Policy is the kind of policy that is missing or denies something.
type Policy string

// The kinds of policies that AWS names in its answers (IAM User Guide, "Troubleshoot access denied error
// messages"). PolicyUnknown is for answers that name none.
const (
	PolicyUnknown  Policy = ""
	PolicyIdentity Policy = "permissions policy of the caller"
	PolicyTrust    Policy = "trust policy of the role"
	PolicyResource Policy = "policy of the resource"
	PolicyBoundary Policy = "permissions boundary of the caller"
	PolicySession  Policy = "session policy of the caller"
	PolicyOrg      Policy = "control policy of the organization"
	PolicyEndpoint Policy = "policy of the VPC endpoint"
)

// Denial is what AWS says of something that it does not allow.
type Denial struct {
	Text     string // of AWS, with its code
	Caller   string // ARN; empty if not said
	Action   string // as in sts:AssumeRole; empty if not said
	Resource string // ARN; empty if not said
	Policy   Policy
	Explicit bool // a policy denies it, rather than that none allows it
}

var denialText = regexp.MustCompile(`^User: (\S+) is not authorized to perform: ([A-Za-z0-9-]+:[A-Za-z0-9*]+)(?: on resource: (\S+))?(.*)`)

// Denied returns what AWS said if the error is that it does not allow the call.
func Denied(err error) (Denial, bool) {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return Denial{}, false
	}
	switch api.ErrorCode() {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "NotAuthorized", "UnauthorizedAccess":
	default:
		return Denial{}, false
	}
	d := Denial{Text: api.ErrorCode() + ": " + api.ErrorMessage()}
	if m := denialText.FindStringSubmatch(api.ErrorMessage()); m != nil {
		d.Caller, d.Action, d.Resource = m[1], m[2], strings.TrimRight(m[3], ".")
		d.Policy, d.Explicit = policyIn(m[4], d.Action)
	}
	return d, true
}

func policyIn(text, action string) (policy Policy, explicit bool) {
	for _, known := range []struct {
		says   string
		policy Policy
	}{
		{"identity-based policy", PolicyIdentity},
		{"trust policy", PolicyTrust},
		{"resource-based policy", PolicyResource},
		{"permissions boundary", PolicyBoundary},
		{"session policy", PolicySession},
		{"service control policy", PolicyOrg},
		{"resource control policy", PolicyOrg},
		{"VPC endpoint policy", PolicyEndpoint},
	} {
		if strings.Contains(text, known.says) {
			policy = known.policy
			break
		}
	}
	if policy == PolicyResource && strings.HasPrefix(action, "sts:") {
		policy = PolicyTrust // the policy of a role is its trust policy
	}
	return policy, strings.Contains(text, "explicit deny")
}
