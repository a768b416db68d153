package redshift_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/redshift"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/awsclitest"
	"sallyport/internal/aws/fakeaws/fakeawstest"
	"sallyport/internal/aws/fakeaws/redshift"
)

func newCloud(t *testing.T, clusters ...*redshift.Cluster) *fakeawstest.Cloud {
	t.Helper()
	c := fakeawstest.New(t)
	r := redshift.New(c.World)
	c.Add(r.Service())
	if err := r.Add(clusters...); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAWSCLI(t *testing.T) {
	c := newCloud(t, &redshift.Cluster{Place: fakeawstest.Here, ID: "dw", Tags: map[string]string{"env": "prod"}},
		&redshift.Cluster{Place: fakeawstest.Here, ID: "young", Status: "creating", NoEndpoint: true})
	c.CLI(t, c.Admin,
		awsclitest.Works("redshift describe-clusters --query Clusters[].[ClusterIdentifier,ClusterStatus,Endpoint.Port]", "dw\tavailable\t5439\nyoung\tcreating\tNone"),
		awsclitest.Works("redshift describe-clusters --cluster-identifier dw --query Clusters[].[Endpoint.Address,ClusterNamespaceArn,Tags[0].Value]", ".us-west-1.redshift.amazonaws.com\tarn:aws:redshift:us-west-1:111111111111:namespace:"),
		awsclitest.Works("redshift describe-clusters --tag-keys env --query Clusters[].ClusterIdentifier", "dw\n"),
		awsclitest.Fails("redshift describe-clusters --cluster-identifier none", "(ClusterNotFound)"),
		awsclitest.Works("redshift get-cluster-credentials --cluster-identifier dw --db-user alice --db-name dev --query DbUser", "IAM:alice"),
		awsclitest.Works("redshift get-cluster-credentials --cluster-identifier dw --db-user alice --auto-create --db-groups a b --query DbUser", "IAMA:alice"),
		awsclitest.Fails("redshift get-cluster-credentials --cluster-identifier dw --db-user alice --duration-seconds 60", "Must be between 900 and 3600"),
		awsclitest.Fails("redshift get-cluster-credentials --cluster-identifier none --db-user alice", "(ClusterNotFound)"),
		awsclitest.Works("redshift get-cluster-credentials-with-iam --cluster-identifier dw --db-name dev --query DbUser", "IAM:admin"),
	)
	c.AllCalled(t, "redshift")
}

func TestPermissionsForPasswords(t *testing.T) {
	c := newCloud(t, &redshift.Cluster{Place: fakeawstest.Here, ID: "dw"})
	const arn = "arn:aws:redshift:us-west-1:111111111111:"
	client := sdk.NewFromConfig(c.Config(c.User(t, "u", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"redshift:GetClusterCredentials","Resource":["`+arn+`dbuser:dw/alice","`+arn+`dbname:dw/dev"]},
		{"Effect":"Allow","Action":"redshift:GetClusterCredentialsWithIAM","Resource":"`+arn+`dbname:dw/dev"}]}`), fakeawstest.Region))
	for _, one := range []struct {
		rule, user, database string
		create               bool
		groups               []string
		code                 string
	}{
		{"user and database", "alice", "dev", false, nil, ""},
		{"another user", "bob", "dev", false, nil, "AccessDenied"},
		{"another database", "alice", "prod", false, nil, "AccessDenied"},
		{"making the user", "alice", "dev", true, nil, "AccessDenied"},
		{"joining a group", "alice", "dev", false, []string{"g"}, "AccessDenied"},
	} {
		t.Run(one.rule, func(t *testing.T) {
			_, err := client.GetClusterCredentials(t.Context(), &sdk.GetClusterCredentialsInput{ClusterIdentifier: aws.String("dw"), DbUser: &one.user,
				DbName: &one.database, AutoCreate: &one.create, DbGroups: one.groups})
			if code := fakeawstest.Code(t, err); code != one.code {
				t.Errorf("got %q", code)
			}
		})
	}
	for database, want := range map[string]string{"dev": "", "prod": "AccessDenied"} {
		_, err := client.GetClusterCredentialsWithIAM(t.Context(), &sdk.GetClusterCredentialsWithIAMInput{ClusterIdentifier: aws.String("dw"), DbName: &database})
		if code := fakeawstest.Code(t, err); code != want {
			t.Errorf("%s with IAM: got %q", database, code)
		}
	}
}

func TestPasswordsOpenTheCluster(t *testing.T) {
	dw, other := &redshift.Cluster{Place: fakeawstest.Here, ID: "dw"}, &redshift.Cluster{Place: fakeawstest.Here, ID: "other"}
	c := newCloud(t, dw, other)
	role, err := c.Account.AddRole(fakeaws.Role{Name: "Reader", Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`,
		Permissions: fakeaws.Permissions{Inline: map[string]string{"p": fakeawstest.Everything}}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := sdk.NewFromConfig(c.Config(role.Session("s1", time.Hour), fakeawstest.Region)).GetClusterCredentialsWithIAM(t.Context(),
		&sdk.GetClusterCredentialsWithIAMInput{ClusterIdentifier: aws.String("dw"), DbName: aws.String("dev"), DurationSeconds: aws.Int32(3600)})
	if err != nil {
		t.Fatal(err)
	}
	if *out.DbUser != "IAMR:reader" || !out.NextRefreshTime.Before(*out.Expiration) || out.Expiration.Sub(c.Now()) < 59*time.Minute {
		t.Errorf("got %q until %v", *out.DbUser, out.Expiration)
	}
	for _, one := range []struct {
		rule, host, user, database string
		later                      time.Duration
		reason                     string
	}{
		{"as issued", dw.Host, "IAMR:reader", "dev", 0, "allowed"},
		{"another cluster", other.Host, "IAMR:reader", "dev", 0, "not issued for this server"},
		{"another user", dw.Host, "reader", "dev", 0, "issued for user"},
		{"another database", dw.Host, "IAMR:reader", "prod", 0, "issued for database"},
		{"after an hour", dw.Host, "IAMR:reader", "dev", time.Hour + time.Second, "expired"},
	} {
		t.Run(one.rule, func(t *testing.T) {
			c.Clock.Advance(one.later)
			defer c.Clock.Advance(-one.later)
			verdict := c.Verify(fakeaws.Login{Service: fakeaws.Redshift, Host: one.host, User: one.user, Database: one.database, Token: *out.DbPassword})
			if !strings.Contains(verdict.Reason, one.reason) {
				t.Errorf("got %+v", verdict)
			}
		})
	}
}
