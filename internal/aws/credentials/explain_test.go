package credentials_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/fault"
)

// TestRefusedRoles has STS answer as AWS does, and reads what is made of it.
func TestRefusedRoles(t *testing.T) {
	const (
		caller = "arn:aws:sts::111111111111:assumed-role/agent/i-1"
		denied = "User: " + caller + " is not authorized to perform: sts:AssumeRole on resource: " + roleOne
		allow  = `{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"` + roleOne + `"}`
		test   = "aws sts assume-role --role-arn " + roleOne + " --role-session-name test-trust-relationship"
	)
	chain := credentials.Chain{AssumeRoleARN: roleOne}
	withID := credentials.Chain{AssumeRoleARN: roleOne, ExternalID: "x-y-z"}
	for _, c := range []struct {
		name          string
		chain         credentials.Chain
		code, message string
		kind          fault.Kind
		texts         []string
		not           string
	}{
		{"AWS does not say why", chain, "AccessDenied", denied, fault.AccessDenied,
			[]string{"AccessDenied: " + denied, "hop 1", "no external id was sent", "(1) the trust policy of " + roleOne, "set aws.external_id", "(2) the permissions policy of " + caller, allow, "another account", "(3) its permissions boundary", "run as " + caller + ": " + test}, "--external-id"},
		{"AWS does not say why, with an external id", withID, "AccessDenied", denied, fault.AccessDenied,
			[]string{", an external id was sent", "sts:ExternalId, if any, must equal", test + " --external-id EXTERNAL_ID"}, "x-y-z"},
		{"the trust policy", chain, "AccessDenied", denied + " because no role trust policy allows the sts:AssumeRole action", fault.AccessDenied, []string{"; the trust policy of " + roleOne + " does not allow it"}, "(2)"},
		{"the trust policy, by its older name", chain, "AccessDenied", denied + " because no resource-based policy allows the sts:AssumeRole action", fault.AccessDenied, []string{"; the trust policy of " + roleOne + " does not allow it"}, "(2)"},
		{"the caller's policy", chain, "AccessDenied", denied + " because no identity-based policy allows the sts:AssumeRole action", fault.AccessDenied, []string{"; the permissions policy of " + caller + " does not allow it", allow}, "trust policy"},
		{"the boundary", chain, "AccessDenied", denied + " because no permissions boundary allows the sts:AssumeRole action", fault.AccessDenied, []string{"; the permissions boundary of " + caller + " does not allow it", allow}, "trust policy"},
		{"an organization", chain, "AccessDenied", denied + " with an explicit deny in a service control policy", fault.AccessDenied, []string{"the control policy of the organization denies it"}, "(1)"},
		{"session tags", chain, "AccessDenied", strings.Replace(denied, "AssumeRole", "TagSession", 1), fault.AccessDenied, []string{"sts:TagSession both in a policy of " + caller}, "(1)"},
		{"a wrong clock", chain, "SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z", fault.ConnectionProblem, []string{"set the clock"}, "secret access key"},
		{"a clock that is ahead", chain, "RequestTimeTooSkewed", "x", fault.ConnectionProblem, []string{"set the clock"}, ""},
		{"a wrong secret", chain, "SignatureDoesNotMatch", "The request signature we calculated does not match", fault.ConnectionProblem, []string{"the secret access key is wrong"}, "clock"},
		{"expired credentials", chain, "ExpiredToken", "The security token included in the request is expired", fault.ConnectionProblem, []string{"have expired", "renew those"}, ""},
		{"deleted credentials", chain, "InvalidClientTokenId", "The security token included in the request is invalid.", fault.ConnectionProblem, []string{"does not know the credentials", "aws sts get-caller-identity"}, ""},
		{"a region without STS", chain, "RegionDisabledException", "STS is not activated", fault.ConnectionProblem, []string{"activate it"}, ""},
		{"throttling", chain, "Throttling", "Rate exceeded", fault.LimitExceeded, []string{"too often"}, ""},
		{"a short role", chain, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", fault.ConnectionProblem, []string{"maximum session duration"}, ""},
		{"a policy that is too large for a role", chain, "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role agent", fault.LimitExceeded, []string{"LimitExceeded: Maximum policy size of 10240 bytes exceeded for role agent", "assume_role_arn", "about 100"}, ""},
		{"a policy that is too large for a user", chain, "LimitExceeded", "Maximum policy size of 2048 bytes exceeded for user agent", fault.LimitExceeded, []string{"2048", "a role in place of a user"}, ""},
		{"a role that nobody may change", chain, "UnmodifiableEntity", "Cannot perform the operation on the protected role 'AWSReservedSSO_x'", fault.AccessDenied, []string{"AWSReservedSSO_x", "permission set"}, ""},
		{"anything else", chain, "Unheard", "of", fault.ConnectionProblem, []string{"Unheard: of", roleOne}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startSTS(t)
			s.answer = func(url.Values) (int, string, string) { return 403, c.code, c.message }
			_, err := provider(time.Now).For(t.Context(), c.chain)
			message := fault.Message(err)
			if !fault.Is(err, c.kind) {
				t.Errorf("a fault of kind %s: %v", fault.KindOf(err), err)
			}
			for _, text := range c.texts {
				if !strings.Contains(message, text) {
					t.Errorf("the message lacks %q:\n%s", text, message)
				}
			}
			if c.not != "" && strings.Contains(err.Error(), c.not) {
				t.Errorf("the message has %q:\n%s", c.not, err)
			}
		})
	}
}

func TestNoAnswer(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		startSTS(t)
		t.Setenv("AWS_ENDPOINT_URL_STS", "https://127.0.0.1:1")
		_, err := provider(time.Now).For(t.Context(), credentials.Chain{AssumeRoleARN: roleOne})
		if !fault.Is(err, fault.ConnectionProblem) || !strings.Contains(fault.Message(err), "nc -zv 127.0.0.1 1") {
			t.Error(err)
		}
	})
	unknown := &net.DNSError{Err: "no such host", Name: "sts.nowhere.invalid", IsNotFound: true}
	for name, c := range map[string]struct {
		cause error
		text  string
	}{
		"no such name":            {&net.OpError{Op: "dial", Net: "tcp", Err: unknown}, "the AWS endpoint sts.nowhere.invalid cannot be resolved"},
		"no such name of a proxy": {&net.OpError{Op: "proxyconnect", Net: "tcp", Err: &net.OpError{Op: "dial", Net: "tcp", Err: unknown}}, "the proxy through which AWS is called cannot be reached"},
		"a proxy that is down":    {&net.OpError{Op: "proxyconnect", Net: "tcp", Err: syscall.ECONNREFUSED}, "set the variable HTTPS_PROXY right"},
	} {
		t.Run(name, func(t *testing.T) {
			err := credentials.Explain(&url.Error{Op: "Post", URL: "https://sts.nowhere.invalid/", Err: c.cause})
			if !fault.Is(err, fault.ConnectionProblem) || !strings.Contains(fault.Message(err), c.text) {
				t.Error(err)
			}
		})
	}
	t.Run("an endpoint of one's own, and FIPS", func(t *testing.T) {
		startSTS(t)
		t.Setenv("AWS_USE_FIPS_ENDPOINT", "true")
		_, err := provider(time.Now).For(t.Context(), credentials.Chain{AssumeRoleARN: roleOne})
		if !fault.Is(err, fault.BadParameter) || !strings.Contains(fault.Message(err), "remove AWS_ENDPOINT_URL") {
			t.Error(err)
		}
	})
	t.Run("a region without such an endpoint", func(t *testing.T) {
		err := credentials.Explain(&net.DNSError{Err: "no such host", Name: "rds-fips.eu-west-1.amazonaws.com", IsNotFound: true})
		if !fault.Is(err, fault.ConnectionProblem) || !strings.Contains(fault.Message(err), "rds-fips.eu-west-1.amazonaws.com cannot be resolved; there are endpoints that are validated by FIPS 140 in") {
			t.Error(err)
		}
	})
	t.Run("no answer in time", func(t *testing.T) {
		s := startSTS(t)
		ctx, cancel := context.WithCancel(t.Context())
		s.answer = func(url.Values) (int, string, string) { cancel(); return 500, "Late", "" }
		if _, err := provider(time.Now).For(ctx, credentials.Chain{AssumeRoleARN: roleOne}); !fault.Is(err, fault.ConnectionProblem) {
			t.Error(err)
		}
		if err := credentials.Explain(context.DeadlineExceeded); !strings.Contains(fault.Message(err), "i/o timeout") {
			t.Error(err)
		}
	})
}

func TestExplainLeavesFaultsAlone(t *testing.T) {
	t.Parallel()
	if credentials.Explain(nil) != nil {
		t.Error("nil became an error")
	}
	known := fault.New(fault.NotFound, "x")
	if !errors.Is(credentials.Explain(known), known) {
		t.Error("a fault was changed")
	}
	if err := credentials.Explain(errors.New("password=hunter2")); strings.Contains(fault.Message(err), "hunter2") {
		t.Error("an unknown error was shown")
	}
}
