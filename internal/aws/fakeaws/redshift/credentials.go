package redshift

import (
	"strconv"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

// userAndDatabase are the resources that GetClusterCredentials is allowed on: all of them must be.
func userAndDatabase(c *fakeaws.Call) ([]string, error) {
	cluster := c.Params.String("ClusterIdentifier")
	all := []string{c.ARN("redshift", "dbuser:"+cluster+"/"+c.Params.String("DbUser"))}
	if name := c.Params.String("DbName"); name != "" {
		all = append(all, c.ARN("redshift", "dbname:"+cluster+"/"+name))
	}
	return all, nil
}

func database(c *fakeaws.Call) ([]string, error) {
	name := c.Params.String("DbName")
	if name == "" {
		name = "*"
	}
	return []string{c.ARN("redshift", "dbname:"+c.Params.String("ClusterIdentifier")+"/"+name)}, nil
}

func credentialsContext(c *fakeaws.Call) iam.Values {
	values := iam.Values{}
	for key, parameter := range map[string]string{"redshift:DbUser": "DbUser", "redshift:DbName": "DbName", "redshift:DurationSeconds": "DurationSeconds"} {
		if value := c.Params.String(parameter); value != "" {
			values[key] = []string{value}
		}
	}
	return values
}

// cluster finds the cluster and how long a password is wanted.
func (r *Redshift) cluster(c *fakeaws.Call) (*Cluster, time.Duration, error) {
	id := c.Params.String("ClusterIdentifier")
	k := r.clusters.Get(inventory.At(c), id)
	if k == nil {
		return nil, 0, notFound(id)
	}
	c.Note("ClusterIdentifier", id)
	c.Note("DbName", c.Params.String("DbName"))
	seconds, err := c.Params.Int("DurationSeconds", 900)
	if err != nil {
		return nil, 0, err
	}
	if seconds < 900 || seconds > 3600 {
		return nil, 0, wire.Errorf("InvalidParameterValue", "Invalid value %d for DurationSeconds. Must be between 900 and 3600", seconds)
	}
	return k, time.Duration(seconds) * time.Second, nil
}

// getCredentials does not ask whether the user exists: the login fails if not.
func (r *Redshift) getCredentials(c *fakeaws.Call) (wire.Fields, error) {
	k, lifetime, err := r.cluster(c)
	if err != nil {
		return nil, err
	}
	user := c.Params.String("DbUser")
	if user == "" || len(user) > 64 {
		return nil, wire.Errorf("InvalidParameterValue", "The parameter DbUser must have 1 to 64 characters")
	}
	name, id := "IAM:", c.Params.String("ClusterIdentifier")
	if c.Params.Bool("AutoCreate") {
		name = "IAMA:"
		if err := c.Authorize("redshift:CreateClusterUser", c.ARN("redshift", "dbuser:"+id+"/"+user), credentialsContext(c)); err != nil {
			return nil, err
		}
	}
	for _, group := range c.Params.Strings("DbGroups") {
		if err := c.Authorize("redshift:JoinGroup", c.ARN("redshift", "dbgroup:"+id+"/"+group), credentialsContext(c)); err != nil {
			return nil, err
		}
	}
	c.Note("DbUser", user)
	c.Note("AutoCreate", strconv.FormatBool(c.Params.Bool("AutoCreate")))
	password, expires := c.IssuePassword(fakeaws.Redshift, k.NamespaceARN(), name+user, c.Params.String("DbName"), lifetime)
	return wire.Of("DbUser", name+user, "DbPassword", password, "Expiration", expires), nil
}

func (r *Redshift) getCredentialsWithIAM(c *fakeaws.Call) (wire.Fields, error) {
	k, lifetime, err := r.cluster(c)
	if err != nil {
		return nil, err
	}
	user, err := UserOf(c.Principal)
	if err != nil {
		return nil, err
	}
	password, expires := c.IssuePassword(fakeaws.Redshift, k.NamespaceARN(), user, c.Params.String("DbName"), lifetime)
	return wire.Of("DbUser", user, "DbPassword", password, "Expiration", expires, "NextRefreshTime", expires.Add(-lifetime/4)), nil
}

// UserOf is the database user that a principal of IAM is mapped to, in Redshift Serverless too.
func UserOf(p fakeaws.Principal) (string, error) {
	switch {
	case p.User != nil:
		return "IAM:" + strings.ToLower(p.User.Name), nil
	case p.Role != nil:
		return "IAMR:" + strings.ToLower(p.Role.Name), nil
	}
	return "", wire.Errorf("UnsupportedOperation", "The root user has no database user.")
}
