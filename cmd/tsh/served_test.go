package main

import (
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/resource"
)

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
