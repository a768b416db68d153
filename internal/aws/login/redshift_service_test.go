package login_test

import (
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/wire"
)

// redshifts are the two services that give passwords out, with one cluster and one workgroup.
func redshifts() []*fakeaws.Service { return redshiftsSaying(0) }

// redshiftsSaying say that passwords are good for longer than they are.
func redshiftsSaying(longer time.Duration) []*fakeaws.Service {
	resources := func(kinds ...string) func(*fakeaws.Call) ([]string, error) {
		return func(c *fakeaws.Call) (arns []string, err error) {
			for _, kind := range kinds {
				name := map[string]string{"dbuser": "DbUser", "dbname": "DbName"}[kind]
				arns = append(arns, c.ARN("redshift", kind+":"+c.Params.String("ClusterIdentifier")+"/"+c.Params.String(name)))
			}
			return arns, nil
		}
	}
	answer := func(c *fakeaws.Call, service, server, user, database, userField, passwordField, expiryField string) (wire.Fields, error) {
		seconds, err := c.Params.Int("DurationSeconds", 900)
		if service == fakeaws.RedshiftServerless {
			seconds, err = c.Params.Int("durationSeconds", 900)
		}
		if err != nil {
			return nil, err
		}
		password, expires := c.IssuePassword(service, server, user, database, time.Duration(seconds)*time.Second)
		return wire.Of(userField, user, passwordField, password, expiryField, expires.Add(longer)), nil
	}
	cluster := func(c *fakeaws.Call) error {
		if id := c.Params.String("ClusterIdentifier"); id != "warehouse" {
			return wire.StatusErrorf(404, "ClusterNotFound", "Cluster %s not found.", id)
		}
		return nil
	}
	return []*fakeaws.Service{
		{Name: "redshift", Scope: "redshift", Protocol: wire.Query, Version: "2012-12-01", Namespace: "http://redshift.amazonaws.com/doc/2012-12-01/", Operations: []fakeaws.Operation{
			{Name: "GetClusterCredentials", Action: "redshift:GetClusterCredentials", Resources: resources("dbuser", "dbname"), Handle: func(c *fakeaws.Call) (wire.Fields, error) {
				c.Note("AutoCreate", c.Params.String("AutoCreate"))
				if err := cluster(c); err != nil {
					return nil, err
				}
				return answer(c, fakeaws.Redshift, "warehouse", "IAM:"+c.Params.String("DbUser"), c.Params.String("DbName"), "DbUser", "DbPassword", "Expiration")
			}},
			{Name: "GetClusterCredentialsWithIAM", Action: "redshift:GetClusterCredentialsWithIAM", Resources: resources("dbname"), Handle: func(c *fakeaws.Call) (wire.Fields, error) {
				if err := cluster(c); err != nil {
					return nil, err
				}
				return answer(c, fakeaws.Redshift, "warehouse", "IAMR:"+c.Principal.Role.Name, c.Params.String("DbName"), "DbUser", "DbPassword", "Expiration")
			}},
		}},
		{Name: "redshift-serverless", Scope: "redshift-serverless", Protocol: wire.JSON11, Target: "RedshiftServerless", Operations: []fakeaws.Operation{
			{Name: "GetCredentials", Action: "redshift-serverless:GetCredentials", Resources: func(c *fakeaws.Call) ([]string, error) {
				return []string{c.ARN("redshift-serverless", "workgroup/id-of-"+c.Params.String("workgroupName"))}, nil
			}, Handle: func(c *fakeaws.Call) (wire.Fields, error) {
				return answer(c, fakeaws.RedshiftServerless, c.Params.String("workgroupName"), "IAMR:"+c.Principal.Role.Name, c.Params.String("dbName"), "dbUser", "dbPassword", "expiration")
			}},
		}},
	}
}
