package iampolicy_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/iampolicy"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing them")

const account = "123456789012"

// everything is all there is to say about a type, in one partition.
func everything(t endpoint.Type, partition, region string) string {
	var b strings.Builder
	write := func(title string, d iampolicy.Document) {
		if len(d.Statements) > 0 {
			fmt.Fprintf(&b, "== %s: %s\n%s\n", partition, title, d)
		}
	}
	need := iampolicy.Need{Type: t, Partition: partition, Account: account}
	role := endpoint.Role{Partition: partition, Account: account, Path: "/", Name: "DatabaseUserRole"}.String()
	for _, one := range []struct {
		title    string
		purposes iampolicy.Purpose
	}{
		{"a Database Service", iampolicy.Discovery | iampolicy.Metadata | iampolicy.Access}, {"a Discovery Service", iampolicy.Discovery},
		{"a role for found databases", iampolicy.Metadata | iampolicy.Access},
	} {
		need.Purposes = one.purposes
		statements := need.Statements()
		if iampolicy.AssumesRoles(t) && one.purposes&iampolicy.Access != 0 {
			statements = append(statements, iampolicy.AssumeRoles([]string{role}, t == endpoint.DynamoDB)...)
		}
		write(one.title, iampolicy.Merge(statements...))
	}
	keyed := need
	keyed.KMSKey = "the-key"
	if with := iampolicy.Merge(keyed.Statements()...); with.String() != iampolicy.Merge(need.Statements()...).String() {
		write("a role for found databases, with a key of one's own", with)
	}
	target := iampolicy.Target{Type: t, Partition: partition, Region: region, Account: account, ID: "the-id"}
	connect, _ := iampolicy.Connect(target)
	write("one database", iampolicy.Merge(connect...))
	return b.String()
}

func TestPoliciesOfEachTypeAndPartition(t *testing.T) {
	t.Parallel()
	for _, typ := range endpoint.Types() {
		var text string
		for _, region := range []string{"us-east-2", "cn-north-1", "us-gov-west-1"} {
			text += everything(typ, endpoint.PartitionOf(region), region)
		}
		path := filepath.Join("testdata", string(typ)+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if text != string(want) {
			t.Errorf("%s differs from %s; look at the difference after: go test -update, git diff\n%s", typ, path, text)
		}
	}
}

func TestCachesAndClustersAreNamedAsTheirServiceDoes(t *testing.T) {
	t.Parallel()
	for typ, want := range map[endpoint.Type][]string{
		endpoint.MemoryDB:    {"arn:aws:memorydb:us-east-2:123456789012:cluster/c", "arn:aws:memorydb:us-east-2:123456789012:user/*"},
		endpoint.ElastiCache: {"arn:aws:elasticache:us-east-2:123456789012:replicationgroup:c", "arn:aws:elasticache:us-east-2:123456789012:user:*"},
	} {
		target := iampolicy.Target{Type: typ, Partition: "aws", Region: "us-east-2", Account: account, ID: "c"}
		connect, missing := iampolicy.Connect(target)
		if len(connect) != 1 || strings.Join(connect[0].Resources, " ") != strings.Join(want, " ") || missing != nil {
			t.Errorf("%s: %v, %v; want %v", typ, connect, missing, want)
		}
	}
}

func TestWhatIsNotKnownIsAPlaceholder(t *testing.T) {
	t.Parallel()
	connect, missing := iampolicy.Connect(iampolicy.Target{Type: endpoint.RDS, Region: "us-east-2"})
	if got := connect[0].Resources[0]; got != "arn:{partition}:rds-db:us-east-2:{account_id}:dbuser:{resource_id}/*" || strings.Join(missing, " ") != "{partition} {account_id} {resource_id}" {
		t.Errorf("%s, missing %v", got, missing)
	}
	if list, missing := iampolicy.Connect(iampolicy.Target{Type: endpoint.DocumentDB}); list != nil || missing != nil {
		t.Errorf("DocumentDB needs %v, %v; want nothing", list, missing)
	}
}
