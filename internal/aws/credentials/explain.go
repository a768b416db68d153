package credentials

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/aws/smithy-go"

	"sallyport/internal/fault"
)

// Explain returns a fault for an error of a call of AWS, or of the credentials for one: what it means and what
// to do. Errors that are faults already come back as they are, and nil as nil.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if explained := explainCommon(err); explained != nil {
		return explained
	}
	if strings.Contains(err.Error(), "FIPS and custom endpoint are not supported") { // the SDK's words
		return fault.Wrap(fault.BadParameter, err, "endpoints that are validated by FIPS 140 and an endpoint of one's own exclude each other; "+
			"remove AWS_ENDPOINT_URL and the like from the environment and endpoint_url from the profile, or start without --fips")
	}
	if base, ok := errors.AsType[*baseError](err); ok {
		return explainBase(base)
	}
	if h, ok := errors.AsType[*hopError](err); ok {
		return h.explain()
	}
	if d, ok := Denied(err); ok {
		return explainDenial(d, err)
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return fault.Wrap(kindOf(err), err, "AWS refused %s: %s: %s", operation(err), api.ErrorCode(), api.ErrorMessage())
	}
	return explainNetwork(err)
}

// explainCommon explains what is the same whatever was asked for.
func explainCommon(err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return nil
	}
	text := api.ErrorCode() + ": " + api.ErrorMessage()
	switch code := api.ErrorCode(); {
	case clockSkewed(code, api.ErrorMessage()):
		return fault.Wrap(fault.ConnectionProblem, err,
			"AWS says that the time of the request is wrong (%s); set the clock of this machine, with chrony or systemd-timesyncd: AWS accepts 5 minutes of difference", text)
	case isExpired(code):
		return fault.Wrap(fault.ConnectionProblem, err,
			"the AWS credentials of this machine have expired (%s); renew those in the environment or the credentials file, or use a role of the instance, which AWS renews by itself", text)
	case code == "InvalidClientTokenId" || code == "UnrecognizedClientException" || code == "InvalidAccessKeyId":
		return fault.Wrap(fault.ConnectionProblem, err,
			"AWS does not know the credentials of this machine (%s); they were deleted, or belong to another partition, or the region is not enabled in their account: check them with aws sts get-caller-identity", text)
	case code == "SignatureDoesNotMatch" || code == "InvalidSignatureException":
		return fault.Wrap(fault.ConnectionProblem, err,
			"AWS does not accept the signature (%s); the secret access key is wrong: check it with aws sts get-caller-identity", text)
	case code == "RegionDisabledException":
		return fault.Wrap(fault.ConnectionProblem, err,
			"STS is not activated in this region for the account (%s); activate it in the account settings of IAM", text)
	case strings.HasPrefix(code, "LimitExceeded") && strings.Contains(api.ErrorMessage(), "Maximum policy size"):
		return fault.Wrap(fault.LimitExceeded, err,
			"%s; IAM allows 2048 characters of inline policies for a user (about 20 databases of RDS or 6 of Redshift) and 10240 for a role (about 100 or 30): "+
				"divide the databases among several roles with assume_role_arn, use a role in place of a user, or allow them by wildcards in a managed policy", text)
	case code == "UnmodifiableEntity":
		return fault.Wrap(fault.AccessDenied, err,
			"%s; IAM Identity Center manages that role: put the permissions into its permission set, or run as another role", text)
	case throttled(code):
		return fault.Wrap(fault.LimitExceeded, err, "AWS is being asked too often (%s); try again in a minute", text)
	default:
		return nil
	}
}

func isExpired(code string) bool {
	return code == "ExpiredToken" || code == "ExpiredTokenException" || code == "RequestExpired"
}

func clockSkewed(code, message string) bool {
	switch code {
	case "RequestTimeTooSkewed", "RequestInTheFuture":
		return true
	case "SignatureDoesNotMatch", "InvalidSignatureException":
		return strings.Contains(message, "Signature expired") || strings.Contains(message, "Signature not yet current")
	default:
		return false
	}
}

func throttled(code string) bool {
	_, ok := retry.DefaultThrottleErrorCodes[code]
	return ok
}

// explainDenial explains that a call other than AssumeRole is not allowed.
func explainDenial(d Denial, err error) error {
	next := "allow it in a policy of the caller"
	switch {
	case d.Policy != PolicyUnknown && d.Explicit:
		next = "the " + string(d.Policy) + " denies it: take the denial out"
	case d.Policy != PolicyUnknown:
		next = "the " + string(d.Policy) + " does not allow it: add it there"
	}
	if d.Action != "" {
		next += ", with the statement " + statement(d.Action, d.Resource)
	}
	return fault.Wrap(fault.AccessDenied, err, "%s; %s (changes of policies take some minutes to have effect)", d.Text, next)
}

func statement(action, resource string) string {
	if resource == "" {
		resource = "*"
	}
	return `{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}`
}

// explainNetwork explains that there was no answer.
func explainNetwork(err error) error {
	host := hostOf(err)
	switch {
	case errors.Is(err, context.Canceled):
		return fault.Wrap(fault.ConnectionProblem, err, "the call of AWS was given up because it is not needed any more")
	case byProxy(err):
		return fault.Wrap(fault.ConnectionProblem, err, "the proxy through which AWS is called cannot be reached; set the variable HTTPS_PROXY right or remove it, or name what is called without a proxy in NO_PROXY")
	case unresolved(err) && strings.Contains(host, "-fips."):
		return fault.Wrap(fault.ConnectionProblem, err, "the name of the AWS endpoint %s cannot be resolved; "+
			"there are endpoints that are validated by FIPS 140 in the regions of the United States and Canada and in GovCloud, not of every service: "+
			"check the DNS of this machine, use a region that has one, or start without --fips", host)
	case unresolved(err):
		return fault.Wrap(fault.ConnectionProblem, err, "the name of the AWS endpoint %s cannot be resolved; check the DNS of this machine and the region", host)
	case timedOut(err):
		return fault.Wrap(fault.ConnectionProblem, err, "AWS did not answer in time (i/o timeout at %s); check that this machine has a route to it, by a NAT gateway or a VPC endpoint of the service, and its security group: nc -zv %s", host, strings.Replace(host, ":", " ", 1))
	case strings.Contains(err.Error(), "x509: "):
		return fault.Wrap(fault.ConnectionProblem, err, "the certificate of the AWS endpoint %s is not trusted; something between here and AWS ends TLS: set AWS_CA_BUNDLE to its authority", host)
	case host != someEndpoint:
		return fault.Wrap(fault.ConnectionProblem, err, "the AWS endpoint %s cannot be reached; check that this machine has a route to it: nc -zv %s", host, strings.Replace(host, ":", " ", 1))
	default:
		return fault.Wrap(fault.ConnectionProblem, err, "a call of AWS failed; the log of the service has the details")
	}
}

// byProxy says whether it was a proxy for HTTP that did not answer, and not AWS. The transport calls that operation proxyconnect.
func byProxy(err error) bool {
	dialled, ok := errors.AsType[*net.OpError](err)
	return ok && dialled.Op == "proxyconnect"
}

func unresolved(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && !dns.IsTimeout
}

func timedOut(err error) bool {
	network, ok := errors.AsType[net.Error](err)
	return ok && network.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

const someEndpoint = "the endpoint"

// hostOf returns the host that was called.
func hostOf(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Name
	}
	// The transport says: Post "https://sts.us-east-1.amazonaws.com/": ...
	if _, rest, ok := strings.Cut(err.Error(), `"https://`); ok {
		if host, _, ok := strings.Cut(rest, "/"); ok && !strings.ContainsAny(host, " \"@?") {
			return withPort(host)
		}
	}
	return someEndpoint
}

func withPort(host string) string {
	if strings.Contains(host, ":") {
		return host
	}
	return host + ":443"
}

func operation(err error) string {
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		return op.ServiceID + " " + op.OperationName
	}
	return "the call"
}

func kindOf(err error) fault.Kind {
	api, isAPI := errors.AsType[smithy.APIError](err)
	res, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if ok && res.HTTPStatusCode() == 404 || isAPI && strings.Contains(api.ErrorCode(), "NotFound") {
		return fault.NotFound
	}
	return fault.ConnectionProblem
}

// transient reports whether the same call may well succeed soon.
func transient(err error) bool {
	if _, ok := errors.AsType[*net.OpError](err); ok || timedOut(err) {
		return true
	}
	if res, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && res.HTTPStatusCode() >= 500 {
		return true
	}
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && throttled(api.ErrorCode())
}
