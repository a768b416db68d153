package dataplane

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/aws/fakeaws"
)

// RedisConfig says what is special about a database of ElastiCache or MemoryDB.
type RedisConfig struct {
	Service string // fakeaws.ElastiCacheConnect or fakeaws.MemoryDBConnect
	Name    string // of the replication group, cache or cluster
	// Account finds accounts: World.RedisAccount.
	Account func(service, host, name string) (fakeaws.RedisAccount, bool)
	// Nodes are those of a cluster, which endpoints lead to besides; none for a single server.
	Nodes []Endpoint
}

// startRedis starts the servers and their fronts. All endpoints lead to the first node.
func (p *Plane) startRedis(ctx context.Context, config Config) error {
	if config.Redis.Account == nil || config.Redis.Name == "" {
		return errors.New("a database of Redis needs a name and somebody who knows its accounts")
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	var servers []*redisProcess
	var err error
	if len(config.Redis.Nodes) == 0 {
		var one *redisProcess
		one, err = startRedisProcess(ctx, "port 0")
		servers = []*redisProcess{one}
	} else {
		servers, err = startRedisCluster(ctx, config.Redis.Nodes)
	}
	if err != nil {
		return err
	}
	for _, server := range servers {
		p.cleanup = append(p.cleanup, server.stop)
	}
	p.redis = servers
	fronts := make([]*RedisFront, len(servers))
	for i, server := range servers {
		fronts[i] = &RedisFront{
			Service: config.Redis.Service, Host: config.Redis.Name, Judge: config.Judge, Account: config.Redis.Account,
			Server: server, Certificate: config.Certificate, Now: config.Now,
		}
	}
	for _, endpoint := range config.Endpoints {
		if err := p.listen(ctx, endpoint, fronts[0].Serve); err != nil {
			return err
		}
	}
	for i, node := range config.Redis.Nodes {
		if err := p.listen(ctx, node, fronts[i].Serve); err != nil {
			return err
		}
	}
	return nil
}

// Redis runs a command as administrator of the n-th server of Redis, and gives the first line of the answer.
func (p *Plane) Redis(ctx context.Context, n int, words ...string) (string, error) {
	return p.redis[n].do(ctx, words...)
}

var _ RedisServer = (*redisProcess)(nil)
