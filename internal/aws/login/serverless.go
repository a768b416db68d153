package login

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/redshiftserverless"

	"sallyport/internal/aws/target"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
)

// redshiftServerless asks for a password as the role that the database user stands for.
func (s *Source) redshiftServerless(ctx context.Context, t *target.Target, req cred.Request) (*cred.Credential, error) {
	workgroup := t.AWS.RedshiftServerless.WorkgroupName
	if workgroup == "" {
		return nil, fault.New(fault.BadParameter,
			"the workgroup of VPC endpoint %q is not known; give %s the permission %s, or set aws.redshift_serverless.workgroup_name of database %q",
			t.AWS.RedshiftServerless.EndpointName, holder(t), allow("redshift-serverless:GetEndpointAccess", "*"), t.Name)
	}
	role, _, err := s.userRole(ctx, t, req.DatabaseUser)
	if err != nil {
		return nil, err
	}
	chain := t.UserChain(role, req.User)
	got, err := s.passwords.Get(ctx, keyOf(t, chain, workgroup, req), func(ctx context.Context) (password, time.Time, error) {
		cfg, err := s.client(ctx, chain)
		if err != nil {
			return password{}, time.Time{}, err
		}
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		got, expires, err := workgroupPassword(ctx, cfg, workgroup, req.DatabaseName)
		return got, s.kept(expires), explainRedshift(err, "redshift-serverless:GetCredentials", "role "+role, "", workgroupARN(t))
	})
	if err != nil {
		return nil, err
	}
	return &cred.Credential{User: got.user, Password: got.secret, Advice: redshiftAdvice(got.user, req.DatabaseUser, true)}, nil
}

func workgroupPassword(ctx context.Context, cfg aws.Config, workgroup, name string) (password, time.Time, error) {
	out, err := redshiftserverless.NewFromConfig(cfg).GetCredentials(ctx, &redshiftserverless.GetCredentialsInput{
		WorkgroupName: aws.String(workgroup), DbName: optional(name), DurationSeconds: aws.Int32(int32(passwordLife / time.Second)),
	})
	if err != nil {
		return password{}, time.Time{}, err
	}
	return given(out.DbUser, out.DbPassword, out.Expiration)
}

// workgroupARN names the workgroup by its id, as policies do.
func workgroupARN(t *target.Target) string {
	id := t.AWS.RedshiftServerless.WorkgroupID
	if id == "" {
		id = "WORKGROUP_ID"
	}
	return t.ARN("redshift-serverless", "workgroup/"+id)
}
