package mongodb_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb"
	"sallyport/internal/engine/mongodb/mongotest"
)

// set is a replica set of small servers, of which the first is the primary.
type set struct {
	members []*mongotest.Server
	hosts   bson.A
}

func startSet(t *testing.T, n int) *set {
	t.Helper()
	s := &set{}
	first := mongotest.Start(t, mongotest.Options{})
	first.Stop()
	for i := range n {
		s.members = append(s.members, mongotest.StartFor(t, mongotest.Options{Hello: func(hello bson.D) bson.D { return s.hello(i, hello) }}, first.Authority, first.ClientCA))
	}
	for _, m := range s.members {
		s.hosts = append(s.hosts, m.Addr)
	}
	return s
}

func (s *set) hello(i int, hello bson.D) bson.D {
	for j := range hello {
		if hello[j].Key == "ismaster" || hello[j].Key == "isWritablePrimary" {
			hello[j].Value = i == 0
		}
	}
	return append(bson.D{e("setName", "rs0"), e("secondary", i > 0), e("hosts", s.hosts), e("primary", s.hosts[0]), e("me", s.hosts[i])}, hello...)
}

// at starts an agent for a database with the URI.
func (s *set) at(t *testing.T, uri string, change ...func(*mongodb.Config)) *enginetest.Agent {
	t.Helper()
	cfg := mongodb.Config{Now: time.Now}
	for _, change := range change {
		change(&cfg)
	}
	return before(t, s.members[0], func(c *enginetest.Config) {
		c.Engine = mongodb.New(cfg)
		c.Database = enginetest.NewDatabase(t, "mongodb", uri, s.members[0].Authority.CertPEM())
		c.Database.Spec.TLS.ServerName = "localhost"
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address) // all names of the set lead here
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		}
		c.Credentials = enginetest.Certificates(func(account string) (*cred.Credential, error) {
			return &cred.Credential{User: account, Certificate: s.members[0].ClientCertificate(t, account)}, nil
		})
	})
}

// TestReplicaSets has URIs of a replica set, and the member in which clients end up.
func TestReplicaSets(t *testing.T) {
	t.Parallel()
	s := startSet(t, 3)
	primary, second := s.members[0].Addr, s.members[1].Addr
	for name, c := range map[string]struct {
		uri    string
		member int // in which the login is; -1 for any but the primary
		text   string
	}{
		"an address":                         {second, 1, ""},
		"one host":                           {"mongodb://" + second + "/", 1, ""},
		"one host, and the set":              {"mongodb://" + second + "/?replicaSet=rs0", 0, ""},
		"directly":                           {"mongodb://" + second + "/?replicaSet=rs0&directConnection=true", 1, ""},
		"several hosts":                      {"mongodb://" + second + "," + primary + "/", 0, ""},
		"the first is down":                  {"mongodb://127.0.0.1:1," + second + "/", 0, ""},
		"a secondary":                        {"mongodb://" + primary + "/?replicaSet=rs0&readPreference=secondary", -1, ""},
		"a secondary, that is reached first": {"mongodb://" + second + "/?replicaSet=rs0&readPreference=secondaryPreferred", 1, ""},
		"the nearest":                        {"mongodb://" + second + "/?replicaSet=rs0&readPreference=nearest", 1, ""},
		"preferably the primary":             {"mongodb://" + second + "/?replicaSet=rs0&readPreference=primaryPreferred", 0, ""},
		"another set":                        {"mongodb://" + primary + "/?replicaSet=rs1", 0, `a member of replica set "rs0", and not of "rs1"`},
		"all are down":                       {"mongodb://127.0.0.1:1,127.0.0.1:2/", 0, "cannot be reached"},
		"tags":                               {"mongodb://" + primary + "/?readPreferenceTags=dc:ny", 0, "readPreferenceTags"},
		"an unknown preference":              {"mongodb://" + primary + "/?readPreference=best", 0, `readPreference="best"`},
		"without TLS":                        {"mongodb://" + primary + "/?tls=false", 0, "switches TLS off"},
	} {
		logins := make([]int, len(s.members))
		for i, m := range s.members {
			logins[i] = len(m.Logins())
		}
		agent := s.at(t, c.uri)
		client := connectRaw(t, agent)
		err := client.enter(patience(t), hello())
		if c.text != "" {
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, m := range s.members {
			if came := len(m.Logins()) > logins[i]; came && c.member != i && (c.member >= 0 || i == 0) || !came && c.member == i {
				t.Errorf("%s: a login in member %d: %t", name, i, came)
			}
		}
		leave(t, agent, client)
	}
}

// TestNoPrimary has a set without the member that is wanted.
func TestNoPrimary(t *testing.T) {
	t.Parallel()
	s := startSet(t, 2)
	s.members[0].Stop()
	agent := s.at(t, "mongodb://"+s.members[1].Addr+"/?replicaSet=rs0")
	client := connectRaw(t, agent)
	if _, err := client.run(patience(t), hello()); err == nil || !strings.Contains(err.Error(), `replica set "rs0" has no primary that can be reached`) {
		t.Errorf("the client got %v", err)
	}
	agent = s.at(t, "mongodb://"+s.members[1].Addr+"/?replicaSet=rs0&readPreference=primaryPreferred")
	client = connectRaw(t, agent)
	if _, err := client.run(patience(t), hello()); err != nil {
		t.Errorf("preferably the primary: %v", err)
	}
}

// TestSRV has a URI whose hosts are in the DNS.
func TestSRV(t *testing.T) {
	t.Parallel()
	s := startSet(t, 2)
	_, port, err := net.SplitHostPort(s.members[1].Addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		name, target string
		txt          []string
		err          error
		text         string
	}{
		"a host":                            {"db.example.com", "inner.example.com.", []string{"authSource=admin&replicaSet=rs0"}, nil, ""},
		"a host of another case":            {"db.Example.com", "inner.eXample.com.", nil, nil, ""},
		"a host of another domain":          {"db.example.com", "inner.example.org.", nil, nil, "another domain"},
		"one whose name ends alike":         {"db.example.com", "evilexample.com.", nil, nil, "another domain"},
		"a host below a name of two labels": {"example.com", "inner.example.com.", nil, nil, ""},
		"any host of a top-level domain":    {"example.com", "example2.com.", nil, nil, "another domain"},
		"a name of two labels itself":       {"example.com", "example.com.", nil, nil, "another domain"},
		"a name of one label":               {"example", "inner.example.", nil, nil, ""},
		"any host, for a name of one label": {"example", "inner.other.", nil, nil, "another domain"},
		"no records":                        {"db.example.com", "", nil, errors.New("no such host"), "no usable SRV records at _mongodb._tcp.db.example.com"},
		"another set in the text":           {"db.example.com", "inner.example.com.", []string{"replicaSet=rs9"}, nil, `not of "rs9"`},
	} {
		agent := s.at(t, "mongodb+srv://"+c.name+"/", func(cfg *mongodb.Config) {
			cfg.LookupSRV = func(_ context.Context, service, proto, host string) (string, []*net.SRV, error) {
				if service != "mongodb" || proto != "tcp" || host != c.name {
					t.Errorf("asked for _%s._%s.%s", service, proto, host)
				}
				if c.err != nil {
					return "", nil, c.err
				}
				return "", []*net.SRV{{Target: c.target, Port: uint16(n)}}, nil
			}
			cfg.LookupTXT = func(context.Context, string) ([]string, error) { return c.txt, nil }
		})
		client := connectRaw(t, agent)
		_, err := client.run(patience(t), hello())
		if c.text == "" && err != nil || c.text != "" && (err == nil || !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
