package rds

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

// Cluster is an Aurora or DocumentDB cluster. Only Place and ID must be set; without Members it has no instance.
type Cluster struct {
	inventory.Place
	ID              string            `json:"id"`
	Engine          string            `json:"engine"`         // default aurora-postgresql
	EngineVersion   string            `json:"engine_version"` // default one that is current
	EngineMode      string            `json:"engine_mode"`    // default provisioned
	Status          string            `json:"status"`         // default available
	Members         []Member          `json:"members"`
	Host            string            `json:"host"`   // of the writer; default one shaped like AWS's
	Reader          string            `json:"reader"` // host; default one shaped like AWS's
	CustomEndpoints []string          `json:"custom"` // names, or hosts where they have dots
	Port            int               `json:"port"`   // default 5432, 3306 or 27017
	ResourceID      string            `json:"resource_id"`
	IAMAuth         bool              `json:"iam_auth"`
	VPC             string            `json:"vpc"`
	Tags            map[string]string `json:"tags"`
	Created         time.Time         `json:"created"`

	instances []*Instance
	pending   *bool
	known     []*fakeaws.Target
}

// Member is an instance of a cluster. Being the writer may be changed inside World.Update.
type Member struct {
	ID     string `json:"id"`
	Writer bool   `json:"writer"`
	Host   string `json:"host"` // default one shaped like AWS's
	Status string `json:"status"`
}

// ARN is the cluster's.
func (k *Cluster) ARN() string { return k.Place.ARN("rds", "cluster:"+k.ID) }

// Addrs are what tokens may be signed for: writer, reader, custom endpoints and members, in this order.
func (k *Cluster) Addrs() []string {
	all := []string{k.Host, k.Reader}
	all = append(all, k.CustomEndpoints...)
	for _, i := range k.instances {
		all = append(all, i.Host)
	}
	for i, host := range all {
		all[i] = net.JoinHostPort(host, strconv.Itoa(k.Port))
	}
	return all
}

func (k *Cluster) place() inventory.Place { return k.Place }

func (k *Cluster) complete(r *RDS) error {
	if k.ID == "" {
		return fmt.Errorf("a cluster has no id")
	}
	k.Engine = cmp.Or(k.Engine, "aurora-postgresql")
	if !slices.Contains(engines, k.Engine) {
		return fmt.Errorf("cluster %s: no engine %q", k.ID, k.Engine)
	}
	k.EngineVersion = cmp.Or(k.EngineVersion, currentVersion(k.Engine))
	k.EngineMode = cmp.Or(k.EngineMode, "provisioned")
	k.Status = cmp.Or(k.Status, "available")
	k.Host = cmp.Or(k.Host, hostName(k.Place, k.ID, "cluster-", family(k.Engine)))
	k.Reader = cmp.Or(k.Reader, hostName(k.Place, k.ID, "cluster-ro-", family(k.Engine)))
	k.Port = cmp.Or(k.Port, usualPort(k.Engine))
	k.ResourceID = cmp.Or(k.ResourceID, "cluster-"+k.Opaque(26, "cluster", k.ID))
	k.VPC = cmp.Or(k.VPC, vpcOf(k.Place))
	if k.Created.IsZero() {
		k.Created = r.world.Now()
	}
	for i, name := range k.CustomEndpoints {
		if !slices.Contains([]byte(name), '.') {
			k.CustomEndpoints[i] = hostName(k.Place, name, "cluster-custom-", family(k.Engine))
		}
	}
	k.instances = nil
	for _, m := range k.Members {
		one := &Instance{Place: k.Place, ID: m.ID, Engine: k.Engine, EngineVersion: k.EngineVersion, Status: m.Status, Host: m.Host, Port: k.Port,
			IAMAuth: k.IAMAuth, VPC: k.VPC, Created: k.Created, cluster: k.ID}
		if err := one.complete(r); err != nil {
			return fmt.Errorf("cluster %s: %w", k.ID, err)
		}
		k.instances = append(k.instances, one)
	}
	return nil
}

// targets are one for each endpoint. Permission to connect is always about the cluster, never about the member.
func (k *Cluster) targets(account *fakeaws.Account) []fakeaws.Target {
	var all []fakeaws.Target
	for _, addr := range k.Addrs() {
		all = append(all, fakeaws.Target{Service: fakeaws.RDSConnect, Host: addr, Account: account, Region: k.Region, ResourceID: k.ResourceID, IAMOff: !k.IAMAuth})
	}
	return all
}

func (k *Cluster) put(r *RDS, known []*fakeaws.Target) {
	k.known = known
	r.clusters.Put(k.Place, k.ID, k)
	for _, i := range k.instances {
		i.put(r, nil)
	}
}

func (k *Cluster) remove(r *RDS) {
	r.clusters.Remove(k.Place, k.ID)
	for _, i := range k.instances {
		i.remove(r)
	}
}

func clusterNotFound(id string) error {
	return wire.StatusErrorf(http.StatusNotFound, "DBClusterNotFoundFault", "DBCluster %s not found.", id)
}

func (r *RDS) describeClusters(c *fakeaws.Call) (wire.Fields, error) {
	all := r.clusters.All(inventory.At(c))
	if id := inventory.NameIn(c.Params.String("DBClusterIdentifier"), ":"); id != "" {
		one := r.clusters.Get(inventory.At(c), id)
		if one == nil {
			return nil, clusterNotFound(id)
		}
		all = []*Cluster{one}
	}
	all, err := filtered(c, r, all, map[string]func(*Cluster) []string{
		"engine":                 func(k *Cluster) []string { return []string{k.Engine} },
		"db-cluster-id":          func(k *Cluster) []string { return []string{k.ID, k.ARN()} },
		"db-cluster-resource-id": func(k *Cluster) []string { return []string{k.ResourceID} },
	})
	if err != nil {
		return nil, err
	}
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("Marker", next, "DBClusters", wire.ListOf("DBCluster", page, func(k *Cluster) any { return k.fields() })), err
}

func (k *Cluster) fields() wire.Fields {
	var custom, pending any
	if len(k.CustomEndpoints) > 0 {
		custom = wire.Strings("", k.CustomEndpoints)
	}
	if k.pending != nil {
		pending = wire.Of("IAMDatabaseAuthenticationEnabled", *k.pending)
	}
	members := wire.ListOf("DBClusterMember", k.Members, func(m Member) any {
		return wire.Of("DBInstanceIdentifier", m.ID, "IsClusterWriter", m.Writer, "DBClusterParameterGroupStatus", "in-sync", "PromotionTier", 1)
	})
	return wire.Of("AllocatedStorage", 1, "DBClusterIdentifier", k.ID, "DBSubnetGroup", "default-"+k.VPC, "Status", k.Status, "Endpoint", k.Host,
		"ReaderEndpoint", k.Reader, "CustomEndpoints", custom, "MultiAZ", len(k.Members) > 1, "Engine", k.Engine, "EngineVersion", k.EngineVersion,
		"Port", k.Port, "MasterUsername", "postgres", "DBClusterMembers", members, "StorageEncrypted", true, "DbClusterResourceId", k.ResourceID,
		"DBClusterArn", k.ARN(), "IAMDatabaseAuthenticationEnabled", k.IAMAuth, "ClusterCreateTime", k.Created, "EngineMode", k.EngineMode,
		"PendingModifiedValues", pending, "TagList", inventory.TagList("Tag", k.Tags))
}

func (r *RDS) clusterContext(c *fakeaws.Call) iam.Values {
	if k := r.clusters.Get(inventory.At(c), inventory.NameIn(c.Params.String("DBClusterIdentifier"), ":")); k != nil {
		return inventory.TagContext(k.Tags)
	}
	return nil
}

func (r *RDS) modifyCluster(c *fakeaws.Call) (wire.Fields, error) {
	id := inventory.NameIn(c.Params.String("DBClusterIdentifier"), ":")
	k := r.clusters.Get(inventory.At(c), id)
	if k == nil {
		return nil, clusterNotFound(id)
	}
	if err := mayModify(c, "DBClusterIdentifier", k.Status, []string{"available", "active", "backing-up"}, "InvalidDBClusterStateFault", "DB cluster"); err != nil {
		return nil, err
	}
	if c.Params.Has("EnableIAMDatabaseAuthentication") {
		if family(k.Engine) == "docdb" || k.EngineMode == "serverless" {
			return nil, wire.Errorf("InvalidParameterCombination", "IAM Database Authentication is not supported for this configuration.")
		}
		on := c.Params.Bool("EnableIAMDatabaseAuthentication")
		if c.Params.Bool("ApplyImmediately") {
			k.IAMAuth, k.pending = on, nil
			for _, i := range k.instances {
				i.IAMAuth = on
			}
			switchIAM(k.known, on)
		} else {
			k.pending = &on
		}
	}
	return wire.Of("DBCluster", k.fields()), nil
}
