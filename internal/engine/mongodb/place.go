package mongodb

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

const (
	defaultPort = "27017"
	maxMembers  = 50 // of a replica set
)

// place is where a database is, by its URI (MongoDB documentation, "Connection Strings"): hosts that are tried, and
// which member of a replica set is wanted.
type place struct {
	engine *Engine
	hosts  []string // host:port; with srv one name
	srv    bool

	replicaSet string // name; empty when it is not known
	discover   bool   // the member that is reached first may refer to others
	preference string
}

// The modes of read preference.
const (
	primary            = "primary"
	primaryPreferred   = "primaryPreferred"
	secondary          = "secondary"
	secondaryPreferred = "secondaryPreferred"
	nearest            = "nearest"
)

var modes = []string{primary, primaryPreferred, secondary, secondaryPreferred, nearest}

// placeOf reads where a database is. Nobody is asked yet. In AWS the endpoint leads to the right member, and credentials
// are for that name only.
func (e *Engine) placeOf(db *resource.Database) (*place, error) {
	if db.InAWS() {
		return &place{engine: e, preference: primary}, nil
	}
	uri := db.Spec.URI
	p := &place{engine: e, preference: primary}
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		p.hosts = []string{uri}
		return p, nil
	}
	p.srv = scheme == "mongodb+srv"
	hosts, query, _ := strings.Cut(rest, "?")
	hosts, _, _ = strings.Cut(hosts, "/")
	for host := range strings.SplitSeq(hosts, ",") {
		if _, _, err := net.SplitHostPort(host); err != nil && !p.srv {
			host = net.JoinHostPort(strings.Trim(host, "[]"), defaultPort)
		}
		p.hosts = append(p.hosts, host)
	}
	if len(p.hosts) > maxMembers || p.srv && (len(p.hosts) != 1 || strings.Contains(p.hosts[0], ":")) {
		return nil, fault.New(fault.BadParameter, "the uri %q does not do: mongodb+srv has one name without a port, and a replica set at most %d members; correct it", uri, maxMembers)
	}
	p.discover = p.srv || len(p.hosts) > 1
	return p, p.options(query)
}

// options takes what concerns the choice of a member; TLS and login are the agent's matter, and the rest the client's.
func (p *place) options(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return fault.Wrap(fault.BadParameter, err, "the options of the database's uri cannot be read; write them as name=value, with & between them")
	}
	direct := false
	for name := range values {
		value := values.Get(name)
		switch strings.ToLower(name) {
		case "replicaset":
			p.replicaSet, p.discover = value, true
		case "directconnection":
			direct = value == "true"
		case "readpreference":
			i := slices.IndexFunc(modes, func(mode string) bool { return strings.EqualFold(mode, value) })
			if i < 0 {
				return fault.New(fault.BadParameter, "the database's uri has readPreference=%q; it is one of %s", value, strings.Join(modes, ", "))
			}
			p.preference = modes[i]
		case "readpreferencetags":
			return fault.New(fault.BadParameter, "the database's uri has readPreferenceTags, by which this version cannot choose a member; leave them out")
		case "tls", "ssl":
			if value == "false" {
				return fault.New(fault.BadParameter, "the database's uri switches TLS off, and databases are reached with TLS only; leave %s out", name)
			}
		}
	}
	p.discover = p.discover && !direct
	return nil
}

// seeds returns the addresses to try.
func (p *place) seeds(ctx context.Context) ([]string, error) {
	if !p.srv {
		return p.hosts, nil
	}
	name := p.hosts[0]
	_, records, err := p.engine.cfg.LookupSRV(ctx, "mongodb", "tcp", name)
	if err != nil || len(records) == 0 || len(records) > maxMembers {
		return nil, fault.Wrap(fault.ConnectionProblem, err, "the name server has no usable SRV records at _mongodb._tcp.%s; correct the database's uri, or write mongodb:// with the hosts themselves", name)
	}
	var addresses []string
	domain := domainOf(name)
	for _, record := range records {
		target := strings.TrimSuffix(record.Target, ".")
		// Whoever forges the answer is not to send us anywhere (MongoDB specification "Initial DNS Seedlist Discovery").
		if !strings.HasSuffix(strings.ToLower(target), "."+domain) {
			return nil, fault.New(fault.ConnectionProblem, "the name server refers from %s to %s, which is in another domain; correct the SRV records", name, target)
		}
		addresses = append(addresses, net.JoinHostPort(target, strconv.Itoa(int(record.Port))))
	}
	return addresses, p.srvOptions(ctx, name)
}

// domainOf returns the domain in which the hosts behind a name have to be: the one that the name is in, or the name itself
// if that would be a top-level domain, as of example.com (the same specification).
func domainOf(name string) string {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if _, domain, _ := strings.Cut(name, "."); strings.Contains(domain, ".") {
		return domain
	}
	return name
}

// srvOptions takes the name of the replica set, which is the only option of a TXT record that matters here.
func (p *place) srvOptions(ctx context.Context, name string) error {
	records, err := p.engine.cfg.LookupTXT(ctx, name)
	if err != nil || len(records) == 0 || p.replicaSet != "" {
		return nil // there need not be one
	}
	values, err := url.ParseQuery(records[0])
	if err != nil {
		return fault.Wrap(fault.ConnectionProblem, err, "the TXT record of %s is not a list of options; correct it", name)
	}
	p.replicaSet = values.Get("replicaSet")
	return nil
}
