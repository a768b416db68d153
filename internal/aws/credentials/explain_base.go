package credentials

import (
	"errors"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"

	"sallyport/internal/fault"
)

// hopLimit says why pods do not reach the instance metadata (Amazon EKS Best Practices, "Restrict access to
// the instance profile").
const hopLimit = "in a pod, or a container with its own network, the metadata service cannot be reached when the instance has HttpPutResponseHopLimit 1: " +
	"give the service account a role (IRSA or EKS Pod Identity), or run aws ec2 modify-instance-metadata-options --http-put-response-hop-limit 2"

// explainBase explains why the process has no credentials of its own.
func explainBase(e *baseError) error {
	text := e.err.Error()
	profile, noProfile := errors.AsType[config.SharedConfigProfileNotExistError](e.err)
	switch {
	case noProfile:
		return fault.Wrap(fault.BadParameter, e, "the AWS profile %q is in none of the configuration files; write it there, or correct AWS_PROFILE", profile.Profile)
	case strings.Contains(text, "access disabled to EC2 IMDS"):
		return fault.Wrap(fault.ConnectionProblem, e,
			"NoCredentialProviders: no valid providers in chain (access disabled to EC2 IMDS via client option, or \"AWS_EC2_METADATA_DISABLED\" environment variable); "+
				"unset AWS_EC2_METADATA_DISABLED, or give credentials another way; tried %s", tried("disabled"))
	case strings.Contains(text, "no EC2 IMDS role found"):
		return fault.Wrap(fault.ConnectionProblem, e,
			"NoCredentialProviders: no valid providers in chain (failed to refresh cached credentials, no EC2 IMDS role found: %s); tried %s; %s",
			metadataProblem(e.err), tried("no credentials"), hopLimit)
	case strings.Contains(text, "AssumeRoleWithWebIdentity") || strings.Contains(text, "failed to retrieve jwt"):
		return fault.Wrap(fault.ConnectionProblem, e,
			"the token of the service account does not give credentials of the role in AWS_ROLE_ARN (%s); check that the trust policy of the role names the OIDC provider of this cluster, "+
				"and the namespace and service account in its condition on sub", reason(e.err))
	case strings.Contains(text, "failed to load credentials") || strings.Contains(text, "AWS_CONTAINER_CREDENTIALS") || strings.Contains(text, "authorization token"):
		return fault.Wrap(fault.ConnectionProblem, e,
			"the container credentials service gives no credentials (%s); check the role of the ECS task, or the EKS Pod Identity association of the service account", reason(e.err))
	default:
		return fault.Wrap(fault.ConnectionProblem, e, "this process has no AWS credentials: %s; tried %s", reason(e.err), tried("asked last"))
	}
}

// metadataProblem says how the instance metadata failed.
func metadataProblem(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "StatusCode: 404") && !strings.Contains(text, "api/token"):
		return "the instance has no role; attach an instance profile"
	case timedOut(err) || strings.Contains(text, "Client.Timeout exceeded") || strings.Contains(text, "deadline exceeded"): // not all layers keep the cause
		return "no answer"
	case strings.Contains(text, "StatusCode: 40"):
		return "the metadata service does not speak version 2 of its protocol, or refuses it"
	default:
		return "it cannot be reached"
	}
}

// reason returns the last part of the error: what happened, without the names of the layers.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// tried lists the places of credentials in their order, and what was there. No value is shown.
func tried(metadata string) string {
	set := func(name string) string {
		if os.Getenv(name) == "" {
			return name + " not set"
		}
		return name + " set"
	}
	profile := os.Getenv("AWS_PROFILE")
	if profile == "" {
		profile = "default"
	}
	container := set("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "" {
		container = set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
	}
	return strings.Join([]string{
		"environment (" + set("AWS_ACCESS_KEY_ID") + ")",
		"web identity (" + set("AWS_WEB_IDENTITY_TOKEN_FILE") + ")",
		"shared files (profile " + profile + ")",
		"container credentials (" + container + ")",
		"EC2 instance metadata (" + metadata + ")",
	}, ", ")
}
