package worldfile

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/dataplane"
)

// Database is a data plane: a real PostgreSQL, MariaDB, FerretDB or Redis under some names. Tokens are judged by what the services and targets of the
// file say about those names.
type Database struct {
	Kind           dataplane.Kind           `json:"kind"`
	Engine         dataplane.Engine         `json:"engine"` // postgres (default), mariadb or mysql
	Endpoints      []dataplane.Endpoint     `json:"endpoints"`
	Certificate    Certificate              `json:"certificate"`
	Setup          string                   `json:"setup"`          // SQL
	Authentication dataplane.Authentication `json:"authentication"` // ldap or pam
	// Secrets of an RDS Proxy, by the user who asks. Without them it reads its own in Secrets Manager.
	Secrets map[string]fakeaws.Secret `json:"secrets"`
	// Of a DocumentDB, whose setup are ARNs of roles with an account, one a line.
	Program string         `json:"program"` // FerretDB
	Master  fakeaws.Secret `json:"master"`
	Version string         `json:"version"` // of the engine
	// Of Redis.
	Service string               `json:"service"` // elasticache or memorydb
	Name    string               `json:"name"`    // of the replication group, cache or cluster
	Nodes   []dataplane.Endpoint `json:"nodes"`   // of a cluster
}

// Certificate is what a database shows. By default it is for the names of its endpoints.
type Certificate struct {
	Names          []string `json:"names"`
	CommonNameOnly bool     `json:"common_name_only"` // as RDS's were until 2020
	WrongAuthority bool     `json:"wrong_authority"`
	Off            bool     `json:"off"` // no TLS at all
}

func (d Database) names() []string {
	var all []string
	for _, e := range slices.Concat(d.Endpoints, d.Nodes) {
		name, _, err := net.SplitHostPort(e.Host)
		if err != nil {
			name = e.Host
		}
		all = append(all, name)
	}
	return all
}

func (b *Built) certificate(d Database) (*tls.Certificate, error) {
	if d.Certificate.Off {
		return nil, nil
	}
	authority := b.World.Authority()
	if d.Certificate.WrongAuthority {
		other, err := fakeaws.New(fakeaws.Config{})
		if err != nil {
			return nil, err
		}
		authority = other.Authority()
	}
	names := d.Certificate.Names
	if names == nil {
		names = d.names()
	}
	if d.Certificate.CommonNameOnly {
		return authority.Issue(fakeaws.Names{CommonName: names[0]})
	}
	return authority.Issue(fakeaws.Names{CommonName: names[0], DNSNames: names})
}

// startDatabases starts all; stop ends those that run, in any case.
func (b *Built) startDatabases(ctx context.Context) (stop func(), opened []string, err error) {
	var running []*dataplane.Plane
	stop = func() {
		for _, plane := range running {
			plane.Stop()
		}
	}
	for _, d := range b.file.Databases {
		if len(d.Endpoints) == 0 {
			return stop, nil, errors.New("databases: each needs endpoints")
		}
		config := dataplane.Config{Kind: d.Kind, Engine: d.Engine, Endpoints: d.Endpoints, Judge: b.World.Verify, Setup: d.Setup, Authentication: d.Authentication,
			Documents: dataplane.Documents{AWS: b.World, Program: d.Program, Master: d.Master.User, Password: d.Master.Password, Version: d.Version}}
		if config.Certificate, err = b.certificate(d); err != nil {
			return stop, nil, err
		}
		if d.Authentication == dataplane.PAM || d.Kind == dataplane.RDS && d.Engine == dataplane.MariaDB {
			socket, err := filepath.Abs(b.file.Listen.Verifier)
			if err != nil || b.file.Listen.Verifier == "" || len(b.VerifyCommand) == 0 {
				return stop, nil, errors.New("databases: PAM needs the verifier's socket")
			}
			config.VerifyCommand = append(b.VerifyCommand, "--socket", socket)
		}
		if config.Secret = b.World.ProxySecret; d.Secrets != nil {
			config.Secret = func(_, user string) (fakeaws.Secret, bool) {
				secret, ok := d.Secrets[user]
				return secret, ok
			}
		}
		if d.Kind == dataplane.Redis {
			config.Redis = dataplane.RedisConfig{Service: d.Service, Name: d.Name, Account: b.World.RedisAccount, Nodes: d.Nodes}
			config.Now = b.World.Now
		}
		plane, err := dataplane.Start(ctx, config)
		if err != nil {
			return stop, nil, err
		}
		running = append(running, plane)
		for i, address := range plane.Addresses() {
			opened = append(opened, fmt.Sprintf("database %s %s", slices.Concat(d.Endpoints, d.Nodes)[i].Host, address))
		}
	}
	return stop, opened, nil
}

// databaseNames leads the names of the databases to where they listen.
func (b *Built) databaseNames() map[string]string {
	names := map[string]string{}
	for _, d := range b.file.Databases {
		for i, name := range d.names() {
			if address, _, err := net.SplitHostPort(slices.Concat(d.Endpoints, d.Nodes)[i].Listen); err == nil {
				names[name] = address
			}
		}
	}
	return names
}
