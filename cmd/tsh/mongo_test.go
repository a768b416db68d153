package main

import (
	"errors"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/detour"
	"sallyport/internal/resource"
)

func TestConnectionStringsOfMongoDB(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		route client.Route
		want  string
	}{
		"MongoDB":        {client.Route{Name: "shop", Type: resource.TypeSelfHosted}, "mongodb://127.0.0.1:4711/shop?directConnection=true&serverSelectionTimeoutMS=20000"},
		"DocumentDB":     {client.Route{Name: "shop", Type: resource.TypeDocumentDB}, "mongodb://127.0.0.1:4711/shop?directConnection=true&retryWrites=false&serverSelectionTimeoutMS=20000"},
		"a strange name": {client.Route{Name: "a?b"}, "mongodb://127.0.0.1:4711/a%3Fb?directConnection=true&serverSelectionTimeoutMS=20000"},
	} {
		if got := mongoURL("127.0.0.1:4711", c.route.Name, c.route.Type); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestFilesOfALoginAreNoHelpWhereTheyDoNotLead is about what the end of tsh db login leads people to.
func TestFilesOfALoginAreNoHelpWhereTheyDoNotLead(t *testing.T) {
	end := time.Now().Add(time.Hour)
	at := func(addresses ...string) lookup { return func(string) ([]string, error) { return addresses, nil } }
	unknown := func(string) ([]string, error) { return nil, errors.New("no such host") }
	for name, c := range map[string]struct {
		protocol  string
		addresses lookup
		mode      detour.Mode
		want      bool
	}{
		"MongoDB, whose name is unknown":              {resource.ProtocolMongoDB, unknown, detour.Never, false},
		"MongoDB, whose name leads elsewhere":         {resource.ProtocolMongoDB, at("10.0.0.1"), detour.Never, false},
		"MongoDB, whose name leads to the proxy":      {resource.ProtocolMongoDB, at("10.0.0.1", "127.0.0.1"), detour.Never, true},
		"Redis, for which no name has to lead":        {resource.ProtocolRedis, unknown, detour.Never, true},
		"Redis behind what ends TLS before the proxy": {resource.ProtocolRedis, unknown, detour.Always, false},
	} {
		program, _ := programOf(c.protocol)
		who := &account{proxy: "127.0.0.1:1", profile: &client.Profile{}, dialer: client.NewDialer(c.mode, false)}
		if got := who.filesLead(&program, loginTo(t, end, "shop", c.protocol), c.addresses); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
