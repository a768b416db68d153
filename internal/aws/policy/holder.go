package policy

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/iampolicy"
	"sallyport/internal/fault"
)

// holder is the user or role whose inline policy is kept.
type holder struct {
	partition, account string
	kind               string // "role" or "user"
	name               string
	arn                string // with the path as far as it is known
}

// id names the holder without its path, which the ARN of a session does not have.
func (h holder) id() string {
	return endpoint.ARN{Partition: h.partition, Service: "iam", Account: h.account, Resource: h.kind + "/" + h.name}.String()
}

func (h holder) isRole() bool { return h.kind == "role" }

func (h holder) String() string { return h.kind + " " + h.arn }

// limit is what IAM allows all inline policies of the holder together, in characters without white space.
func (h holder) limit() int {
	if h.isRole() {
		return iampolicy.LimitRoleInline
	}
	return iampolicy.LimitUserInline
}

func holderOfRole(arn string) (holder, error) {
	role, err := endpoint.ParseRole(arn)
	if err != nil {
		return holder{}, fault.Wrap(fault.BadParameter, err, "%s", err)
	}
	return holder{partition: role.Partition, account: role.Account, kind: "role", name: role.Name, arn: role.String()}, nil
}

func holderOfCaller(c credentials.Caller) (holder, error) {
	h := holder{partition: c.Partition, account: c.Account, kind: "role", name: c.Role()}
	if h.name != "" {
		h.arn = h.id()
		return h, nil
	}
	arn, err := endpoint.ParseARN(c.ARN)
	path, ok := strings.CutPrefix(arn.Resource, "user/")
	if err != nil || !ok || arn.Service != "iam" {
		return holder{}, fault.New(fault.BadParameter, "the AWS credentials of the agent belong to %s, which has no inline policy; run it as a role or a user of IAM, or switch db_service.manage_iam_policy off", c.ARN)
	}
	h.kind, h.name, h.arn = "user", path[strings.LastIndexByte(path, '/')+1:], c.ARN
	return h, nil
}

// inline is one inline policy of a holder.
type inline struct {
	iam  *iam.Client
	of   holder
	name string
}

// get returns the policy's text, or "" if there is none.
func (p inline) get(ctx context.Context) (string, error) {
	var encoded *string
	var err error
	if p.of.isRole() {
		var out *iam.GetRolePolicyOutput
		if out, err = p.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &p.of.name, PolicyName: &p.name}); err == nil {
			encoded = out.PolicyDocument
		}
	} else {
		var out *iam.GetUserPolicyOutput
		if out, err = p.iam.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: &p.of.name, PolicyName: &p.name}); err == nil {
			encoded = out.PolicyDocument
		}
	}
	if _, missing := errors.AsType[*types.NoSuchEntityException](err); missing {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	text, err := url.PathUnescape(aws.ToString(encoded)) // RFC 3986, as the API's reference says of PolicyDocument
	if err != nil {
		return "", fmt.Errorf("reading the policy %s of %s: %w", p.name, p.of, err)
	}
	return text, nil
}

func (p inline) put(ctx context.Context, text string) error {
	var err error
	if p.of.isRole() {
		_, err = p.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &p.of.name, PolicyName: &p.name, PolicyDocument: &text})
	} else {
		_, err = p.iam.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &p.of.name, PolicyName: &p.name, PolicyDocument: &text})
	}
	return err
}

func (p inline) delete(ctx context.Context) error {
	var err error
	if p.of.isRole() {
		_, err = p.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &p.of.name, PolicyName: &p.name})
	} else {
		_, err = p.iam.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: &p.of.name, PolicyName: &p.name})
	}
	if _, missing := errors.AsType[*types.NoSuchEntityException](err); missing {
		return nil
	}
	return err
}

// explain says what to do when the policy cannot be kept.
func (p inline) explain(err error) error {
	d, denied := credentials.Denied(err)
	if !denied {
		return credentials.Explain(err)
	}
	where := ""
	switch {
	case d.Policy == credentials.PolicyBoundary:
		where = " in its permissions boundary too"
	case d.Policy != credentials.PolicyUnknown && d.Policy != credentials.PolicyIdentity:
		where = ", and see to it that the " + string(d.Policy) + " does not deny it"
	}
	allowing := iampolicy.Document{Statements: []iampolicy.Statement{iampolicy.KeepInline(p.of.arn, p.of.isRole())}}
	return fault.Wrap(fault.AccessDenied, err, "%s; let the %s keep its inline policy %s, by another policy %s%s, or give it the permissions of its databases yourself and switch db_service.manage_iam_policy off",
		d.Text, p.of, p.name, allowing.Compact(), where)
}
