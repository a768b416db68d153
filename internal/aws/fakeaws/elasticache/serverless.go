package elasticache

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

// ServerlessCache is a serverless cache. Only Place and Name must be set.
type ServerlessCache struct {
	inventory.Place
	Name      string            `json:"name"`
	Engine    string            `json:"engine"`  // redis (default), valkey or memcached
	Version   string            `json:"version"` // major; default 7
	Status    string            `json:"status"`  // default available
	UserGroup string            `json:"user_group"`
	Subnets   []string          `json:"subnets"` // default one; ec2.EC2 says which VPC it is in
	Tags      map[string]string `json:"tags"`
	Created   time.Time         `json:"created"`
}

// ARN is the cache's.
func (s *ServerlessCache) ARN() string { return s.Place.ARN("elasticache", "serverlesscache:"+s.Name) }

// Host is the cache's, on ports 6379 (writing) and 6380 (reading).
func (s *ServerlessCache) Host() string {
	return s.Name + "-" + strings.ToLower(s.Opaque(6, "serverless", s.Name)) + ".serverless." + shortRegion(s.Region) + ".cache" + s.Suffix()
}

func (s *ServerlessCache) place() inventory.Place { return s.Place }

func (s *ServerlessCache) complete(e *ElastiCache) error {
	if s.Name == "" {
		return errors.New("a serverless cache has no name")
	}
	s.Engine = cmp.Or(s.Engine, "redis")
	s.Version = cmp.Or(s.Version, "7")
	s.Status = cmp.Or(s.Status, "available")
	if s.Subnets == nil {
		s.Subnets = []string{"subnet-" + strings.ToLower(s.Opaque(17, "subnet", "default"))}
	}
	if s.Created.IsZero() {
		s.Created = e.world.Now()
	}
	return nil
}

func (s *ServerlessCache) target(account *fakeaws.Account) (fakeaws.Target, func() []string, bool) {
	return fakeaws.Target{Service: fakeaws.ElastiCacheConnect, Host: s.Name, Account: account, Region: s.Region, ResourceID: s.Name, Serverless: true},
		func() []string { return []string{s.UserGroup} }, true
}

func (s *ServerlessCache) put(e *ElastiCache) { e.serverless.Put(s.Place, s.Name, s) }

func (s *ServerlessCache) remove(e *ElastiCache) { e.serverless.Remove(s.Place, s.Name) }

func serverlessNotFound(name string) error {
	return wire.StatusErrorf(http.StatusNotFound, "ServerlessCacheNotFoundFault", "ServerlessCache %s not found.", name)
}

var serverlessPaging = inventory.Paging{Size: "MaxResults", Token: "NextToken", SizeCode: "InvalidParameterValue", TokenCode: "InvalidParameterValue",
	Sizes: inventory.Sizes{Least: 1, Most: 50, Usual: 50}}

func (e *ElastiCache) describeServerless(c *fakeaws.Call) (wire.Fields, error) {
	all, err := list(c, &e.serverless, "ServerlessCacheName", serverlessNotFound)
	if err != nil {
		return nil, err
	}
	page, next, err := inventory.Page(c, serverlessPaging, all)
	return wire.Of("NextToken", next, "ServerlessCaches", wire.ListOf("", page, func(s *ServerlessCache) any {
		var endpoint, reader any
		if s.Status != "creating" {
			endpoint, reader = wire.Of("Address", s.Host(), "Port", 6379), wire.Of("Address", s.Host(), "Port", 6380)
		}
		return wire.Of("ServerlessCacheName", s.Name, "Description", s.Name, "CreateTime", s.Created, "Status", s.Status, "Engine", s.Engine,
			"MajorEngineVersion", s.Version, "FullEngineVersion", s.Version+".1", "Endpoint", endpoint, "ReaderEndpoint", reader, "ARN", s.ARN(),
			"UserGroupId", wire.Optional(s.UserGroup), "SubnetIds", wire.Strings("SubnetId", s.Subnets))
	})), err
}
