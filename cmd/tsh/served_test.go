package main

import (
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

func TestALocalProxyWithoutATunnelSaysWhereOneIsNeeded(t *testing.T) {
	t.Parallel()
	who := &account{proxy: "127.0.0.1:1", tsh: "tsh", credentials: &client.Credentials{}} // there is no proxy that would have a port
	for protocol, want := range map[string]string{
		resource.ProtocolPostgres: "",
		resource.ProtocolMySQL:    "a local proxy for mysql is always a tunnel: use tsh proxy db --tunnel shop, or tsh db connect shop",
		resource.ProtocolRedis:    "",
		resource.ProtocolMongoDB:  "",
	} {
		db := &resource.Database{}
		db.Metadata.Name, db.Spec.Protocol = "shop", protocol
		if err := localOnly(t.Context(), who, &client.Database{Database: db}); (err == nil) != (want == "") || err != nil && fault.Message(err) != want {
			t.Errorf("%s: %v, want %q", protocol, err, want)
		}
	}
}

func TestDatabasesThatNoServiceCanServeAreRefusedBeforeAConnection(t *testing.T) {
	t.Parallel()
	for protocol, want := range map[string]string{
		resource.ProtocolPostgres:  "",
		resource.ProtocolMySQL:     "",
		resource.ProtocolRedis:     "",
		resource.ProtocolMongoDB:   "",
		resource.ProtocolSQLServer: `database "shop" speaks sqlserver, which this version cannot serve`,
	} {
		db := &resource.Database{}
		db.Metadata.Name, db.Spec.Protocol = "shop", protocol
		err := served(&client.Database{Database: db})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", protocol, err)
		}
	}
}
