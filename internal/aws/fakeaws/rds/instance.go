package rds

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

// Instance is a DB instance. Only Place and ID must be set. Instances of clusters are made by adding the cluster.
type Instance struct {
	inventory.Place
	ID            string            `json:"id"`
	Engine        string            `json:"engine"`         // default postgres
	EngineVersion string            `json:"engine_version"` // default one that is current
	Status        string            `json:"status"`         // default available
	Host          string            `json:"host"`           // default one shaped like AWS's
	Port          int               `json:"port"`           // default 5432, 3306 or 27017
	NoEndpoint    bool              `json:"no_endpoint"`    // it has none yet
	ResourceID    string            `json:"resource_id"`    // default db-…
	IAMAuth       bool              `json:"iam_auth"`
	VPC           string            `json:"vpc"` // default vpc-…; "none" for an instance without subnet group
	Tags          map[string]string `json:"tags"`
	Created       time.Time         `json:"created"` // default now

	cluster string
	pending *bool // IAM authentication after the next maintenance
	known   []*fakeaws.Target
}

// ARN is the instance's.
func (i *Instance) ARN() string { return i.Place.ARN("rds", "db:"+i.ID) }

// Addr is what tokens are signed for.
func (i *Instance) Addr() string { return net.JoinHostPort(i.Host, strconv.Itoa(i.Port)) }

func (i *Instance) place() inventory.Place { return i.Place }

func (i *Instance) complete(r *RDS) error {
	if i.ID == "" {
		return fmt.Errorf("an instance has no id")
	}
	i.Engine = cmp.Or(i.Engine, "postgres")
	if !slices.Contains(engines, i.Engine) {
		return fmt.Errorf("instance %s: no engine %q", i.ID, i.Engine)
	}
	i.EngineVersion = cmp.Or(i.EngineVersion, currentVersion(i.Engine))
	i.Status = cmp.Or(i.Status, "available")
	i.Host = cmp.Or(i.Host, hostName(i.Place, i.ID, "", family(i.Engine)))
	i.Port = cmp.Or(i.Port, usualPort(i.Engine))
	i.ResourceID = cmp.Or(i.ResourceID, "db-"+i.Opaque(26, "db", i.ID))
	i.VPC = cmp.Or(i.VPC, vpcOf(i.Place))
	if i.Created.IsZero() {
		i.Created = r.world.Now()
	}
	return nil
}

func (i *Instance) targets(account *fakeaws.Account) []fakeaws.Target {
	return []fakeaws.Target{{Service: fakeaws.RDSConnect, Host: i.Addr(), Account: account, Region: i.Region, ResourceID: i.ResourceID, IAMOff: !i.IAMAuth}}
}

func (i *Instance) put(r *RDS, known []*fakeaws.Target) {
	i.known = known
	r.instances.Put(i.Place, i.ID, i)
}

func (i *Instance) remove(r *RDS) { r.instances.Remove(i.Place, i.ID) }

func instanceNotFound(id string) error {
	return wire.StatusErrorf(http.StatusNotFound, "DBInstanceNotFound", "DBInstance %s not found.", id)
}

func (r *RDS) describeInstances(c *fakeaws.Call) (wire.Fields, error) {
	all := r.instances.All(inventory.At(c))
	if id := inventory.NameIn(c.Params.String("DBInstanceIdentifier"), ":"); id != "" {
		one := r.instances.Get(inventory.At(c), id)
		if one == nil {
			return nil, instanceNotFound(id)
		}
		all = []*Instance{one}
	}
	all, err := filtered(c, r, all, map[string]func(*Instance) []string{
		"engine":          func(i *Instance) []string { return []string{i.Engine} },
		"db-cluster-id":   func(i *Instance) []string { return r.clusterNames(i) },
		"db-instance-id":  func(i *Instance) []string { return []string{i.ID, i.ARN()} },
		"dbi-resource-id": func(i *Instance) []string { return []string{i.ResourceID} },
	})
	if err != nil {
		return nil, err
	}
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("Marker", next, "DBInstances", wire.ListOf("DBInstance", page, func(i *Instance) any { return i.fields() })), err
}

// clusterNames are the name and the ARN of an instance's cluster.
func (r *RDS) clusterNames(i *Instance) []string {
	if i.cluster == "" {
		return nil
	}
	return []string{i.cluster, i.Place.ARN("rds", "cluster:"+i.cluster)}
}

func (i *Instance) fields() wire.Fields {
	var endpoint, subnets, pending any
	if !i.NoEndpoint {
		endpoint = wire.Of("Address", i.Host, "Port", i.Port, "HostedZoneId", "Z"+i.Opaque(13, "zone"))
	}
	if i.VPC != "none" {
		subnets = wire.Of("DBSubnetGroupName", "default-"+i.VPC, "DBSubnetGroupDescription", "default", "VpcId", i.VPC, "SubnetGroupStatus", "Complete")
	}
	if i.pending != nil {
		pending = wire.Of("IAMDatabaseAuthenticationEnabled", *i.pending)
	}
	return wire.Of("DBInstanceIdentifier", i.ID, "DBInstanceClass", "db.t3.medium", "Engine", i.Engine, "EngineVersion", i.EngineVersion,
		"DBInstanceStatus", i.Status, "MasterUsername", "postgres", "Endpoint", endpoint, "AllocatedStorage", 20, "InstanceCreateTime", i.Created,
		"DBSubnetGroup", subnets, "PendingModifiedValues", pending, "MultiAZ", false, "PubliclyAccessible", false, "StorageEncrypted", true,
		"DBClusterIdentifier", wire.Optional(i.cluster), "DbiResourceId", i.ResourceID, "CACertificateIdentifier", "rds-ca-rsa2048-g1",
		"DBInstanceArn", i.ARN(), "IAMDatabaseAuthenticationEnabled", i.IAMAuth, "TagList", inventory.TagList("Tag", i.Tags))
}

func (r *RDS) instanceContext(c *fakeaws.Call) iam.Values {
	if i := r.instances.Get(inventory.At(c), inventory.NameIn(c.Params.String("DBInstanceIdentifier"), ":")); i != nil {
		return inventory.TagContext(i.Tags)
	}
	return nil
}

// modifiable are the statuses in which RDS takes changes.
var modifiable = []string{"available", "backing-up", "configuring-enhanced-monitoring", "configuring-log-exports", "storage-full", "storage-optimization",
	"incompatible-option-group", "incompatible-parameters"}

func (r *RDS) modifyInstance(c *fakeaws.Call) (wire.Fields, error) {
	id := inventory.NameIn(c.Params.String("DBInstanceIdentifier"), ":")
	i := r.instances.Get(inventory.At(c), id)
	if i == nil {
		return nil, instanceNotFound(id)
	}
	if err := mayModify(c, "DBInstanceIdentifier", i.Status, modifiable, "InvalidDBInstanceState", "Database instance"); err != nil {
		return nil, err
	}
	if c.Params.Has("EnableIAMDatabaseAuthentication") {
		switch {
		case i.cluster != "":
			return nil, wire.Errorf("InvalidParameterCombination", "The requested DB Instance is a member of a DB Cluster. Set IAM database authentication for the DB Cluster.")
		case family(i.Engine) != "postgres" && family(i.Engine) != "mysql":
			return nil, wire.Errorf("InvalidParameterCombination", "IAM Database Authentication is not supported for this configuration.")
		}
		on := c.Params.Bool("EnableIAMDatabaseAuthentication")
		if c.Params.Bool("ApplyImmediately") {
			i.IAMAuth, i.pending = on, nil
			switchIAM(i.known, on)
		} else {
			i.pending = &on
		}
	}
	return wire.Of("DBInstance", i.fields()), nil
}

func switchIAM(known []*fakeaws.Target, on bool) {
	for _, target := range known {
		target.IAMOff = !on
	}
}

// family is what an engine is a variant of.
func family(engine string) string {
	switch engine {
	case "postgres", "aurora-postgresql":
		return "postgres"
	case "mysql", "mariadb", "aurora", "aurora-mysql":
		return "mysql"
	case "docdb", "neptune":
		return engine
	}
	return "other"
}

func usualPort(engine string) int {
	switch family(engine) {
	case "postgres":
		return 5432
	case "mysql":
		return 3306
	case "docdb":
		return 27017
	case "neptune":
		return 8182
	}
	return 1433
}

func currentVersion(engine string) string {
	return map[string]string{"postgres": "15.4", "aurora-postgresql": "15.4", "mysql": "8.0.35", "aurora-mysql": "8.0.mysql_aurora.3.04.0",
		"mariadb": "10.6.14", "docdb": "5.0.0"}[engine]
}

func vpcOf(at inventory.Place) string { return "vpc-" + strings.ToLower(at.Opaque(17, "vpc")) }

// hostName is a name as RDS makes them: NAME.[KIND-]HASH.REGION.rds… or, in China, NAME.[KIND-]HASH.rds.REGION…
func hostName(at inventory.Place, name, kind, family string) string {
	service := "rds"
	if family == "docdb" || family == "neptune" {
		service = family
	}
	middle := at.Region + "." + service
	if fakeaws.PartitionOf(at.Region) == "aws-cn" {
		middle = service + "." + at.Region
	}
	hash := strings.ToLower(at.Opaque(12, "hosts"))
	return fmt.Sprintf("%s.%s%s.%s%s", name, kind, hash, middle, at.Suffix())
}
