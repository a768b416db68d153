package login

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/redshift"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/target"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
)

const (
	passwordLife  = 15 * time.Minute // that is asked for; the shortest that AWS gives
	passwordReuse = 10 * time.Minute // after that a new one is asked for
	callTimeout   = 20 * time.Second
)

// passwordKey tells apart everything that AWS is told, and the databases too.
type passwordKey struct {
	database, service, cluster, region    string
	assumeRole, externalID, userRole      string
	user, databaseUser, logical, hostPort string
}

// password is what AWS gave out for an account of a database.
type password struct{ user, secret string }

func keyOf(t *target.Target, chain credentials.Chain, cluster string, req cred.Request) passwordKey {
	return passwordKey{
		database: t.Name, service: string(t.Type), cluster: cluster, region: chain.Region,
		assumeRole: chain.AssumeRoleARN, externalID: chain.ExternalID, userRole: chain.UserRoleARN,
		user: req.User, databaseUser: req.DatabaseUser, logical: req.DatabaseName, hostPort: t.Endpoint.Address(),
	}
}

// redshift asks for a password of a database user, or of a role: then the role itself must ask.
func (s *Source) redshift(ctx context.Context, t *target.Target, req cred.Request) (*cred.Credential, error) {
	cluster := t.AWS.Redshift.ClusterID
	role, isRole, err := s.userRole(ctx, t, req.DatabaseUser)
	if err != nil {
		return nil, err
	}
	chain := t.Chain()
	if isRole {
		chain = t.UserChain(role, req.User)
	}
	got, err := s.passwords.Get(ctx, keyOf(t, chain, cluster, req), func(ctx context.Context) (password, time.Time, error) {
		cfg, err := s.client(ctx, chain)
		if err != nil {
			return password{}, time.Time{}, err
		}
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		if isRole {
			got, expires, err := clusterPasswordForRole(ctx, cfg, cluster, req.DatabaseName)
			return got, s.kept(expires), explainRedshift(err, "redshift:GetClusterCredentialsWithIAM", "role "+role, "", t.ARN("redshift", "dbname:"+cluster+"/"+req.DatabaseName))
		}
		got, expires, err := clusterPassword(ctx, cfg, cluster, req.DatabaseUser, req.DatabaseName)
		return got, s.kept(expires), explainRedshift(err, "redshift:GetClusterCredentials", holder(t), t.PolicyProblem,
			t.ARN("redshift", "dbuser:"+cluster+"/"+req.DatabaseUser), t.ARN("redshift", "dbname:"+cluster+"/"+req.DatabaseName))
	})
	if err != nil {
		return nil, err
	}
	return &cred.Credential{User: got.user, Password: got.secret, Advice: redshiftAdvice(got.user, req.DatabaseUser, isRole)}, nil
}

func clusterPassword(ctx context.Context, cfg aws.Config, cluster, user, name string) (password, time.Time, error) {
	out, err := redshift.NewFromConfig(cfg).GetClusterCredentials(ctx, &redshift.GetClusterCredentialsInput{
		ClusterIdentifier: aws.String(cluster), DbUser: aws.String(user), DbName: optional(name),
		AutoCreate: aws.Bool(false), DurationSeconds: aws.Int32(int32(passwordLife / time.Second)),
	})
	if err != nil {
		return password{}, time.Time{}, err
	}
	return given(out.DbUser, out.DbPassword, out.Expiration)
}

func clusterPasswordForRole(ctx context.Context, cfg aws.Config, cluster, name string) (password, time.Time, error) {
	out, err := redshift.NewFromConfig(cfg).GetClusterCredentialsWithIAM(ctx, &redshift.GetClusterCredentialsWithIAMInput{
		ClusterIdentifier: aws.String(cluster), DbName: optional(name), DurationSeconds: aws.Int32(int32(passwordLife / time.Second)),
	})
	if err != nil {
		return password{}, time.Time{}, err
	}
	return given(out.DbUser, out.DbPassword, out.Expiration)
}

// kept says until when a password is kept. AWS's word counts as long as it is not longer than what was asked for.
func (s *Source) kept(until time.Time) time.Time {
	if longest := s.cfg.Now().Add(passwordLife); until.After(longest) {
		return longest
	}
	return until
}

// given checks an answer of AWS. The user it names is the one to log in with; it is not the one asked for.
func given(user, secret *string, expires *time.Time) (password, time.Time, error) {
	if aws.ToString(user) == "" || aws.ToString(secret) == "" || expires == nil {
		return password{}, time.Time{}, errors.New("AWS answered without a password")
	}
	return password{*user, *secret}, *expires, nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}

// explainRedshift explains why AWS gives no password. problem is why the agent has not added the permission, if that was its
// task.
func explainRedshift(err error, action, who, problem string, resources ...string) error {
	if err == nil {
		return nil
	}
	const prefix = "Could not generate Redshift IAM auth token: "
	if d, ok := credentials.Denied(err); ok {
		if problem == "" {
			problem = "changes of policies take some minutes to have effect"
		} else {
			problem = "the agent could not add it: " + problem
		}
		return fault.Wrap(fault.AccessDenied, err, prefix+"%s; give %s the permission %s (%s)", d.Text, who, allow(action, resources...), problem)
	}
	err = credentials.Explain(err)
	return fault.Wrap(fault.KindOf(err), err, prefix+"%s", fault.Message(err))
}

// redshiftAdvice says what to do when the database does not know the account that AWS gave a password for.
func redshiftAdvice(user, asked string, isRole bool) func(cred.Refusal) string {
	return func(r cred.Refusal) string {
		switch {
		case r.Method != "":
			return fmt.Sprintf("the agent has a temporary password of AWS for it, which Redshift takes in clear or as MD5; check the password settings of the cluster and of account %q", asked)
		case !refusesUser(r.Code):
			return ""
		case isRole:
			return fmt.Sprintf("AWS gave a password for %q; check that the address leads to the cluster that gave it, and that the account was not disabled there", user)
		default:
			return fmt.Sprintf("AWS gives passwords for accounts that do not exist, too: check that the cluster has the account, or make it: CREATE USER %s PASSWORD DISABLE", quoted(asked))
		}
	}
}
