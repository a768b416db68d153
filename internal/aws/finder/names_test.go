package finder_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/rds"
	"sallyport/internal/resource"
)

func named(names ...string) map[string]string {
	tags := map[string]string{}
	for i := 0; i < len(names); i += 2 {
		tags[names[i]] = names[i+1]
	}
	return tags
}

func instance(id string, tags ...string) *rds.Instance {
	return &rds.Instance{Place: here, ID: id, Tags: named(tags...)}
}

func cluster(id string, tags ...string) *rds.Cluster {
	return &rds.Cluster{Place: here, ID: id, Tags: named(tags...), Members: []rds.Member{{ID: id + "-w", Writer: true}}}
}

func withReader(k *rds.Cluster) *rds.Cluster {
	k.Members = append(k.Members, rds.Member{ID: k.ID + "-r"})
	return k
}

func withCustom(k *rds.Cluster, name string) *rds.Cluster {
	k.CustomEndpoints = append(k.CustomEndpoints, name)
	return k
}

const tagName = "TeleportDatabaseName"

func TestNames(t *testing.T) {
	long := strings.Repeat("x", 63)
	for _, test := range []struct {
		name string
		has  []rds.Resource
		want []string // as first of the name, with # for what is told apart by a number
	}{
		{"an id, with type, region and account", []rds.Resource{instance("orders")}, []string{"orders-rds" + suffix}},
		{"what the id says already is not said again", []rds.Resource{instance("my-rds-us-west-1")}, []string{"my-rds-us-west-1-" + account}},
		{"in capitals too", []rds.Resource{instance("RDS-orders")}, []string{"RDS-orders" + suffix}},
		{"the longest names", []rds.Resource{withCustom(cluster(long), long)}, []string{long + "-custom-" + long + "-rds-aurora" + suffix, long + "-rds-aurora" + suffix}},
		{"an instance and a cluster of the same id", []rds.Resource{instance("orders"), cluster("orders")}, []string{"orders-rds-aurora" + suffix, "orders-rds" + suffix}},
		{"a tag, and nothing more", []rds.Resource{instance("a", tagName, "orders")}, []string{"orders"}},
		{"the older tag", []rds.Resource{instance("a", "teleport.dev/database_name", "orders")}, []string{"orders"}},
		{"the newer tag before the older", []rds.Resource{instance("a", "teleport.dev/database_name", "old", tagName, "new")}, []string{"new"}},
		{"the older tag where the newer is empty", []rds.Resource{instance("a", "teleport.dev/database_name", "old", tagName, "")}, []string{"old"}},
		{"a tag names the base of each endpoint", []rds.Resource{withCustom(withReader(cluster("a", tagName, "orders")), "night")}, []string{"orders", "orders-custom-night", "orders-reader"}},
		{"a tag that is not a name", []rds.Resource{instance("a", tagName, "my orders"), instance("b", tagName, "../x"), instance("c", tagName, "orders-")},
			[]string{"a-rds" + suffix, "b-rds" + suffix, "c-rds" + suffix}},
		{"a tag that is too long", []rds.Resource{instance("a", tagName, strings.Repeat("x", 201))}, []string{"a-rds" + suffix}},
		{"a tag that is too long for the reader", []rds.Resource{withReader(cluster("a", tagName, strings.Repeat("x", 198)))}, []string{"a-reader-rds-aurora" + suffix, strings.Repeat("x", 198)}},
		{"two databases with one tag", []rds.Resource{instance("a", tagName, "orders"), instance("b", tagName, "orders")}, []string{"a-rds" + suffix, "b-rds" + suffix}},
		{"a tag does not take another's name", []rds.Resource{instance("orders"), instance("mine", tagName, "orders-rds"+suffix)}, []string{"mine-rds" + suffix, "orders-rds" + suffix}},
		{"nor by way of a third", []rds.Resource{instance("a", tagName, "x"), instance("b", tagName, "x"), instance("c", tagName, "a-rds"+suffix)},
			[]string{"a-rds" + suffix, "b-rds" + suffix, "c-rds" + suffix}},
		{"a reader, and a cluster that is called so", []rds.Resource{withReader(cluster("orders")), cluster("orders-reader")},
			[]string{"orders-rds-aurora" + suffix, "orders-reader-rds-aurora" + suffix + "#", "orders-reader-rds-aurora" + suffix + "#"}},
		{"a custom endpoint, and a cluster that is called so", []rds.Resource{withCustom(cluster("a"), "b"), cluster("a-custom-b")},
			[]string{"a-custom-b-rds-aurora" + suffix + "#", "a-custom-b-rds-aurora" + suffix + "#", "a-rds-aurora" + suffix}},
		{"a custom endpoint called reader", []rds.Resource{withCustom(withReader(cluster("a")), "reader")},
			[]string{"a-custom-reader-rds-aurora" + suffix, "a-rds-aurora" + suffix, "a-reader-rds-aurora" + suffix}},
		{"an id that says the type, and one that does not", []rds.Resource{instance("orders"), instance("orders-rds")},
			[]string{"orders-rds" + suffix + "#", "orders-rds" + suffix + "#"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t).has(t, test.has...)
			first := c.find(t, "rds")
			got := names(first)
			if len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Errorf("names are not unique: %q", got)
			}
			for i, name := range got {
				if i < len(test.want) && strings.HasSuffix(test.want[i], "#") {
					if at := strings.LastIndexByte(name, '-'); at == len(test.want[i])-1 {
						got[i] = name[:at] + "#"
					}
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if again := names(c.find(t, "rds")); !slices.Equal(again, names(first)) {
				t.Errorf("then %q", again)
			}
		})
	}
}

func TestTheSameIDElsewhereHasAnotherName(t *testing.T) {
	c := start(t)
	seen := map[string]bool{}
	for _, region := range []string{"us-west-1", "us-west-2"} {
		c.has(t, &rds.Instance{Place: inventory.Place{Account: account, Region: region}, ID: "orders"}, &rds.Proxy{Place: inventory.Place{Account: account, Region: region}, Name: "orders"})
		for _, kind := range []string{"rds", "rdsproxy"} {
			for _, db := range c.findIn(t, kind, region) {
				if seen[db.GetName()] || !strings.HasPrefix(db.GetName(), "orders-") {
					t.Errorf("%s twice", db.GetName())
				}
				seen[db.GetName()] = true
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("got %v", seen)
	}
}

func TestTheShortNameIsKept(t *testing.T) {
	c := start(t).has(t, withReader(cluster("books")), instance("a", tagName, "orders"), instance("b", resource.LabelDiscovered, "books"))
	short := map[string]string{}
	for _, db := range c.find(t, "rds") {
		short[db.GetName()] = db.Metadata.Labels[resource.LabelDiscovered]
	}
	want := map[string]string{"books-rds-aurora" + suffix: "books", "books-reader-rds-aurora" + suffix: "books-reader", "orders": "orders", "b-rds" + suffix: "b"}
	if !maps.Equal(short, want) {
		t.Errorf("got %v", short)
	}
}
