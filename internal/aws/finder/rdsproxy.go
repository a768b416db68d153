package finder

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"sallyport/internal/aws/described"
	"sallyport/internal/aws/labels"
	"sallyport/internal/resource"
)

// proxy is a proxy that can be connected to.
type proxy struct {
	tagged
	name, host, protocol string
	port                 int32
}

// rdsProxy finds proxies and their further endpoints.
func (l *look) rdsProxy(ctx context.Context) error {
	client := rds.NewFromConfig(l.cfg)
	proxies, err := l.proxies(ctx, client)
	if err != nil {
		return err
	}
	byName := make(map[string]*proxy, len(proxies))
	for i := range proxies {
		p := &proxies[i]
		byName[p.name] = p
		l.add(candidate{
			Database: p.Database, id: p.name, address: described.Address(&p.host, p.port), protocol: p.protocol, lacks: p.lacks,
			description: "RDS Proxy in " + l.Region,
		})
	}
	return l.seen(Part{What: "RDS Proxies"}, Part{
		What: "endpoints of RDS Proxies", Err: l.proxyEndpoints(ctx, client, byName),
		covers: func(db *resource.Database) bool { return db.Spec.AWS.RDSProxy.CustomEndpointName != "" },
	})
}

func (l *look) proxies(ctx context.Context, client *rds.Client) ([]proxy, error) {
	all, err := pages(ctx, func(ctx context.Context, token *string) ([]types.DBProxy, *string, error) {
		out, err := client.DescribeDBProxies(ctx, &rds.DescribeDBProxiesInput{Marker: token, MaxRecords: aws.Int32(pageSize)})
		if err != nil {
			return nil, nil, err
		}
		return out.DBProxies, out.Marker, nil
	})
	if err != nil {
		return nil, err
	}
	var usable []proxy
	for _, one := range all {
		p := proxy{tagged: tagged{Database: described.Proxy(one)}, name: aws.ToString(one.DBProxyName), host: aws.ToString(one.Endpoint)}
		p.protocol, p.port = ofFamily(aws.ToString(one.EngineFamily))
		switch {
		case !aws.ToBool(one.RequireTLS):
			l.skip(one.DBProxyName, "it does not require TLS, without which IAM authentication is refused: switch on Require Transport Layer Security")
		case p.protocol == "":
			l.skip(one.DBProxyName, "its engine is not supported", "engine", aws.ToString(one.EngineFamily))
		case !l.available(one.DBProxyName, string(one.Status), proxyStates):
		case p.host == "":
			l.skip(one.DBProxyName, "it has no endpoint yet")
		default:
			usable = append(usable, p)
		}
	}
	return usable, forEach(ctx, usable, func(ctx context.Context, p *proxy) error {
		out, err := client.ListTagsForResource(ctx, &rds.ListTagsForResourceInput{ResourceName: &p.ARN})
		if err != nil {
			return p.note(nil, err)
		}
		return p.note(described.RDSTags(out.TagList), nil)
	})
}

// proxyEndpoints adds the endpoints that proxies have besides the first. Their certificate is the proxy's, whose wildcard
// covers one label.
func (l *look) proxyEndpoints(ctx context.Context, client *rds.Client, proxies map[string]*proxy) error {
	all, err := pages(ctx, func(ctx context.Context, token *string) ([]types.DBProxyEndpoint, *string, error) {
		out, err := client.DescribeDBProxyEndpoints(ctx, &rds.DescribeDBProxyEndpointsInput{Marker: token, MaxRecords: aws.Int32(pageSize)})
		if err != nil {
			return nil, nil, err
		}
		return out.DBProxyEndpoints, out.Marker, nil
	})
	if err != nil {
		return err
	}
	for _, one := range all {
		p := proxies[aws.ToString(one.DBProxyName)]
		switch name := aws.ToString(one.DBProxyEndpointName); {
		case aws.ToBool(one.IsDefault):
		case p == nil:
			l.skip(one.DBProxyEndpointName, "its proxy is passed over", "proxy", aws.ToString(one.DBProxyName))
		case !l.available(one.DBProxyEndpointName, string(one.Status), proxyStates):
		case aws.ToString(one.Endpoint) == "":
			l.skip(one.DBProxyEndpointName, "it has no endpoint yet")
		default:
			c := candidate{
				Database: p.Database, id: p.name, endpoint: name, address: described.Address(one.Endpoint, p.port), protocol: p.protocol, serverName: p.host,
				labels:      map[string]string{labels.EndpointType: string(one.TargetRole), labels.VPC: aws.ToString(one.VpcId)},
				description: "RDS Proxy endpoint in " + l.Region, lacks: p.lacks,
			}
			c.AWS.RDSProxy.CustomEndpointName = name
			l.add(c)
		}
	}
	return nil
}

// ofFamily returns protocol and port of what proxies call a family of engines. Their ports are fixed.
func ofFamily(family string) (protocol string, port int32) {
	switch family {
	case "MYSQL":
		return resource.ProtocolMySQL, 3306
	case "POSTGRESQL":
		return resource.ProtocolPostgres, 5432
	case "SQLSERVER":
		return resource.ProtocolSQLServer, 1433
	default:
		return "", 0
	}
}
