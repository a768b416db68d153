package bootstrap

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/fault"
)

// Admin carries plans out in the account of the credentials it was opened with.
type Admin struct {
	iam    *iam.Client
	caller credentials.Caller
}

// Open finds out who the default credentials of the provider belong to. Errors are explained.
func Open(ctx context.Context, provider *credentials.Provider) (*Admin, error) {
	caller, err := provider.Caller(ctx, credentials.Chain{})
	if err != nil {
		return nil, err
	}
	cfg, err := provider.For(ctx, credentials.Chain{})
	if err != nil {
		return nil, err
	}
	cfg.Region = endpoint.RegionOfIAM(caller.Partition)
	return &Admin{iam: iam.NewFromConfig(cfg), caller: caller}, nil
}

// Caller returns the identity that the credentials belong to.
func (a *Admin) Caller(ctx context.Context) (Identity, error) {
	if name := a.caller.Role(); name != "" {
		// The ARN of a session leaves out the path of its role.
		return a.role(ctx, name)
	}
	id, err := ParseIdentity(User, a.caller.ARN)
	if err != nil {
		return Identity{}, fault.New(fault.BadParameter, "the AWS credentials belong to %s, to which no policy can be attached; name the user or role of the service", a.caller.ARN)
	}
	return id, nil
}

// Complete fills in what a short name does not say. The identity must be of the caller's account.
func (a *Admin) Complete(ctx context.Context, id Identity) (Identity, error) {
	if id.Complete() {
		if id.Account != a.caller.Account || id.Partition != a.caller.Partition {
			return Identity{}, fault.New(fault.BadParameter, "the %s is not of account %s, to which the AWS credentials belong (%s); use credentials of its own account", id, a.caller.Account, a.caller.ARN)
		}
		return id, nil
	}
	if id.Kind == Role {
		return a.role(ctx, id.Name)
	}
	id.Partition, id.Account = a.caller.Partition, a.caller.Account
	if out, err := a.iam.GetUser(ctx, &iam.GetUserInput{UserName: &id.Name}); err == nil && out.User != nil {
		return ParseIdentity(User, aws.ToString(out.User.Arn)) // with its path
	} else if isMissing(err) {
		return Identity{}, fault.Wrap(fault.NotFound, err, "there is no user %q in account %s", id.Name, id.Account)
	}
	return id, nil // not allowed to look; attaching needs no more than the name
}

// role looks up the path of a role, without which it cannot be compared with those of a configuration.
func (a *Admin) role(ctx context.Context, name string) (Identity, error) {
	out, err := a.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	switch {
	case isMissing(err):
		return Identity{}, fault.Wrap(fault.NotFound, err, "there is no role %q in account %s", name, a.caller.Account)
	case err != nil:
		if _, denied := credentials.Denied(err); denied {
			return Identity{}, fault.Wrap(fault.AccessDenied, err, "%s cannot look up the role %q; allow iam:GetRole on it, or name the user or role that gets the policy by its ARN", a.caller.ARN, name)
		}
		return Identity{}, credentials.Explain(err)
	}
	if out.Role == nil {
		return Identity{}, errAnswer
	}
	return ParseIdentity(Role, aws.ToString(out.Role.Arn))
}

var errAnswer = fault.New(fault.ConnectionProblem, "IAM answered, but said nothing of what it was asked about; try again")

func isMissing(err error) bool {
	_, ok := errors.AsType[*types.NoSuchEntityException](err)
	return ok
}

// policyARN is the ARN of a policy in the caller's account.
func (a *Admin) policyARN(name string) string {
	return endpoint.ARN{Partition: a.caller.Partition, Service: "iam", Account: a.caller.Account, Resource: "policy/" + name}.String()
}

// explain names what can go wrong when permissions are set up, beyond what goes wrong with every call.
func explain(err error, target Identity) error {
	if _, ok := errors.AsType[*types.UnmodifiableEntityException](err); ok && strings.HasPrefix(target.Name, "AWSReservedSSO_") {
		return fault.Wrap(fault.AccessDenied, err, "the %s belongs to IAM Identity Center and cannot be changed here; add the permissions to its permission set, or run the service as another role", target)
	}
	if limit, ok := errors.AsType[*types.LimitExceededException](err); ok {
		return fault.Wrap(fault.LimitExceeded, err, "a limit of IAM is reached (%s); detach or delete what is not used, or divide the databases among several roles", limit.ErrorMessage())
	}
	if isMissing(err) {
		return fault.Wrap(fault.NotFound, err, "the %s does not exist", target)
	}
	return credentials.Explain(err)
}
