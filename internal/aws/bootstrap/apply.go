package bootstrap

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"sallyport/internal/fault"
)

const (
	// ownTag is on every policy made here, with an empty value. Others are left alone.
	ownTag = "teleport"

	maxVersions   = 5 // of one policy ("IAM and AWS STS quotas" in the IAM user guide)
	actionTimeout = 30 * time.Second
)

// Apply carries the actions out in their order and reports each. The first that fails ends it.
func (a *Admin) Apply(ctx context.Context, plan Plan, report func(Action, error)) error {
	for _, action := range plan.Actions {
		err := explain(a.do(ctx, action), action.Target)
		report(action, err)
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *Admin) do(ctx context.Context, action Action) error {
	ctx, cancel := context.WithTimeout(ctx, actionTimeout)
	defer cancel()
	arn := a.policyARN(action.Policy)
	switch {
	case action.Kind == PutPolicy:
		return a.putPolicy(ctx, arn, action)
	case action.Target.Kind == Role:
		_, err := a.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &action.Target.Name, PolicyArn: &arn})
		return err
	default:
		_, err := a.iam.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: &action.Target.Name, PolicyArn: &arn})
		return err
	}
}

// putPolicy creates the policy, or gives one that was created here before a new version.
func (a *Admin) putPolicy(ctx context.Context, arn string, action Action) error {
	document := action.Document.String()
	found, err := a.iam.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &arn})
	switch {
	case isMissing(err):
		_, err := a.iam.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: &action.Policy, PolicyDocument: &document,
			Description: &action.Description, Tags: []types.Tag{{Key: aws.String(ownTag), Value: aws.String("")}}})
		return err
	case err != nil:
		return err
	case found.Policy == nil:
		return errAnswer
	case !slices.ContainsFunc(found.Policy.Tags, func(t types.Tag) bool { return aws.ToString(t.Key) == ownTag && aws.ToString(t.Value) == "" }):
		return fault.New(fault.AlreadyExists, "there is a policy %s that was not created by this command, as its tag %q would say; choose another name for the policy", arn, ownTag)
	}
	if err := a.makeRoom(ctx, arn); err != nil {
		return err
	}
	_, err = a.iam.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: &arn, PolicyDocument: &document, SetAsDefault: true})
	return err
}

// makeRoom deletes the oldest version that is not in effect, if there are as many as there may be.
func (a *Admin) makeRoom(ctx context.Context, arn string) error {
	var versions []types.PolicyVersion
	pages := iam.NewListPolicyVersionsPaginator(a.iam, &iam.ListPolicyVersionsInput{PolicyArn: &arn})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		versions = append(versions, page.Versions...)
	}
	if len(versions) < maxVersions {
		return nil
	}
	versions = slices.DeleteFunc(versions, func(v types.PolicyVersion) bool { return v.IsDefaultVersion })
	oldest := slices.MinFunc(versions, func(x, y types.PolicyVersion) int {
		return cmp.Or(aws.ToTime(x.CreateDate).Compare(aws.ToTime(y.CreateDate)), cmp.Compare(number(x), number(y)))
	})
	_, err := a.iam.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: &arn, VersionId: oldest.VersionId})
	return err
}

// number is that of a version: 3 of "v3". Times have whole seconds only.
func number(v types.PolicyVersion) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(aws.ToString(v.VersionId), "v")) // 0 is as good as any for another form
	return n
}
