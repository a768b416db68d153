package credentials

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"

	"sallyport/internal/fault"
)

// hopError is a failure to assume a role.
type hopError struct {
	number     int // 1 or 2
	role       string
	region     string
	externalID bool // was sent
	tagged     bool // tags were sent
	err        error
}

func (e *hopError) Error() string {
	return fmt.Sprintf("assuming role %s (hop %d): %v", e.role, e.number, e.err)
}
func (e *hopError) Unwrap() error { return e.err }

func (e *hopError) explain() error {
	if d, ok := Denied(e.err); ok {
		return e.explainDenial(d)
	}
	api, ok := errors.AsType[smithy.APIError](e.err)
	switch {
	case !ok:
		return explainNetwork(e)
	case strings.Contains(api.ErrorMessage(), "DurationSeconds"):
		return fault.Wrap(fault.ConnectionProblem, e, "role %s cannot be assumed for %s (%s: %s); raise its maximum session duration", e.role, RoleDuration, api.ErrorCode(), api.ErrorMessage())
	case api.ErrorCode() == "PackedPolicyTooLarge":
		return fault.Wrap(fault.BadParameter, e, "the session tags are too long for role %s (%s: %s); use fewer or shorter ones in aws.session_tags", e.role, api.ErrorCode(), api.ErrorMessage())
	default:
		return fault.Wrap(fault.ConnectionProblem, e, "role %s cannot be assumed: %s: %s", e.role, api.ErrorCode(), api.ErrorMessage())
	}
}

// explainDenial says which of the policies that must agree does not, as far as AWS tells.
func (e *hopError) explainDenial(d Denial) error {
	caller := "the caller"
	if d.Caller != "" {
		caller = d.Caller
	}
	sent := "no external id was sent"
	if e.externalID {
		sent = "an external id was sent"
	}
	if d.Action == "sts:TagSession" {
		return fault.Wrap(fault.AccessDenied, e,
			"%s (hop %d); session tags need sts:TagSession both in a policy of %s and in the trust policy of %s, beside sts:AssumeRole; add it, or remove aws.session_tags",
			d.Text, e.number, caller, e.role)
	}
	return fault.Wrap(fault.AccessDenied, e, "%s (hop %d, %s); %s; to test it, run as %s: %s",
		d.Text, e.number, sent, e.missing(d, caller), caller, e.command())
}

func (e *hopError) missing(d Denial, caller string) string {
	what := "does not allow it"
	if d.Explicit {
		what = "denies it"
	}
	allow := statement("sts:AssumeRole", e.role)
	switch d.Policy {
	case PolicyTrust:
		return "the trust policy of " + e.role + " " + what + ": " + e.trust(caller)
	case PolicyIdentity:
		return "the permissions policy of " + caller + " " + what + ": it needs " + allow
	case PolicyBoundary:
		return "the permissions boundary of " + caller + " " + what + ": the boundary needs " + allow + " too"
	case PolicyUnknown:
		text := "AWS does not say which policy is missing; check (1) the trust policy of " + e.role + ": " + e.trust(caller) +
			", (2) the permissions policy of " + caller + ": it needs " + allow
		if account := accountOf(d.Caller); account != "" && account != accountOf(e.role) {
			text += ", which a role of another account always requires"
		}
		return text + ", (3) its permissions boundary, if it has one: the same"
	default:
		return "the " + string(d.Policy) + " " + what
	}
}

// trust says what the trust policy must have.
func (e *hopError) trust(caller string) string {
	text := "its Principal must be the role of " + caller + ", or that role's account"
	if e.externalID {
		return text + ", and its condition on sts:ExternalId, if any, must equal aws.external_id of the database"
	}
	return text + "; if it has a condition on sts:ExternalId, set aws.external_id to that value"
}

func (e *hopError) command() string {
	command := "aws sts assume-role --role-arn " + e.role + " --role-session-name test-trust-relationship"
	if e.externalID {
		command += " --external-id EXTERNAL_ID"
	}
	return command
}
