package discovery_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/resource"
)

func TestDatabasesAreRegisteredChangedAndRemoved(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1 b=1", "redshift us-west-1: c=1", "rds eu-west-1: d=1")
	c.start("", matcher("rds redshift", "us-west-1 eu-west-1"))
	c.becomes("found", "a=1", "b=1", "c=1", "d=1")
	for _, r := range c.list(resource.KindDatabase) {
		if labels := r.Meta().Labels; labels["teleport.dev/origin"] != "cloud" || labels["teleport.dev/discovery-type"] == "" {
			t.Errorf("%s has labels %v", r.GetName(), labels)
		}
	}
	c.see("rds us-west-1: a=2", "redshift us-west-1: c=1")
	c.becomes("changed and gone", "a=2", "c=1")
}

func TestWhatCannotBeSeenStays(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1 b=1", "rds eu-west-1: c=1 d=1")
	host, _ := c.start("", matcher("rds", "us-west-1 eu-west-1"))
	c.becomes("found", "a=1", "b=1", "c=1", "d=1")
	c.fail("rds us-west-1", errors.New("throttled"))
	c.see("rds us-west-1: a=2", "rds eu-west-1: d=1")
	c.becomes("one region fails", "a=1", "b=1", "d=1")
	c.stays("one region fails", 2, "a=1", "b=1", "d=1")
	status := c.list(resource.KindDiscoveryService)
	if len(status) != 1 || status[0].GetName() != host {
		t.Fatalf("status: %v", status)
	}
	for _, m := range status[0].(*resource.DiscoveryService).Spec.Matchers {
		if (m.Error == "") != (m.Region == "eu-west-1") || m.LastSuccess == nil || m.Found == 0 {
			t.Errorf("status of %s is %+v", m.Region, m)
		}
	}
	c.fail("rds us-west-1", nil)
	c.becomes("it works again", "a=2", "d=1")
}

// partly is a look that saw some databases and keeps the label of those whose label it could not see.
type partly struct{}

func (partly) Error() string { return "tags are denied" }

func (partly) Resolve(found, known []*resource.Database) []*resource.Database {
	for _, db := range found {
		for _, before := range known {
			if db.GetName() == before.GetName() {
				db.Metadata.Labels = before.Metadata.Labels
			}
		}
	}
	return found
}

func TestAPartialLookResolvesWhatItSaw(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1 b=1")
	c.start("one", matcher("rds", "us-west-1"))
	c.becomes("found", "a=1", "b=1")
	c.fail("rds us-west-1", partly{})
	c.see("rds us-west-1: a=unseen c=unseen")
	c.becomes("a part is seen", "a=1", "c=unseen")
	c.stays("a part is seen", 1, "a=1", "c=unseen")
}

// keeping is a look that could see a part, and keeps all that it found before.
type keeping struct{}

func (keeping) Error() string { return "a part is denied" }

func (keeping) Resolve(found, known []*resource.Database) []*resource.Database {
	return slices.Concat(found, known)
}

// TestAPartOfOneLookIsNothingOfAnother has a look that sees a part keep its own databases, and no others that are gone.
func TestAPartOfOneLookIsNothingOfAnother(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1", "rds eu-west-1: b=1 c=1")
	c.start("", matcher("rds", "us-west-1 eu-west-1"))
	c.becomes("found", "a=1", "b=1", "c=1")
	c.fail("rds us-west-1", keeping{})
	c.see("rds eu-west-1: b=1")
	c.becomes("one is gone", "a=1", "b=1")
	c.stays("one is gone", 2, "a=1", "b=1")
}

// TestLooksOfTwoRolesAreTwo has the same type and region looked at with two roles, of which one fails.
func TestLooksOfTwoRolesAreTwo(t *testing.T) {
	t.Parallel()
	const one, two = "arn:aws:iam::111111111111:role/one", "arn:aws:iam::222222222222:role/two"
	c := newClouds(t)
	c.see("rds us-west-1 "+one+": a=1 b=1", "rds us-west-1 "+two+": c=1 d=1")
	through := func(role string) resource.AWSMatcher {
		m := matcher("rds", "us-west-1")
		m.AssumeRoleARN = role
		return m
	}
	c.start("", through(one), through(two))
	c.becomes("found", "a=1", "b=1", "c=1", "d=1")
	c.fail("rds us-west-1 "+two, errors.New("denied"))
	c.see("rds us-west-1 " + one + ": a=1")
	c.becomes("one role sees, the other does not", "a=1", "c=1", "d=1")
	c.stays("one role sees, the other does not", 2, "a=1", "c=1", "d=1")
}

// TestMoreThanAPageIsRegistered changes the last of many databases.
func TestMoreThanAPageIsRegistered(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	var names, want []string
	for i := range 600 {
		names = append(names, fmt.Sprintf("x%03d=1", i))
	}
	c.see("rds us-west-1: " + strings.Join(names, " "))
	c.startEvery(300*time.Millisecond, "", matcher("rds", "us-west-1"))
	c.becomes("found", names...)
	want = append(slices.Clone(names[:599]), "x599=2")
	c.see("rds us-west-1: " + strings.Join(want, " "))
	c.becomes("the last is changed", want...)
}

func TestUnchangedDatabasesAreNotWritten(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1 b=1")
	c.start("", matcher("rds", "us-west-1"))
	c.becomes("found", "a=1", "b=1")
	revision := func() (all string) {
		for _, r := range c.list(resource.KindDatabase) {
			all += r.Meta().Revision + " "
		}
		return all
	}
	before := revision()
	c.stays("nothing changes", 1, "a=1", "b=1")
	if after := revision(); after != before {
		t.Errorf("revisions were %s and are %s", before, after)
	}
}

func TestServicesLeaveAloneWhatIsNotTheirs(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.apply("kind: db\nversion: v3\nmetadata: {name: mine, labels: {label: hand}}\nspec: {protocol: postgres, uri: 'other.example.com:1'}\n")
	c.see("rds us-west-1: a=1 mine=found", "redshift us-west-1: b=1 a=2")
	_, stop := c.start("one", matcher("rds", "us-west-1"))
	c.becomes("the first group", "a=1", "mine=hand")
	c.stays("the first group", 1, "a=1", "mine=hand")
	if n := c.logged("is passed over"); n != 1 {
		t.Errorf("told %d times that a name is taken", n)
	}
	c.start("two", matcher("redshift", "us-west-1"))
	c.becomes("each its own", "a=1", "b=1", "mine=hand")
	c.stays("each its own", 2, "a=1", "b=1", "mine=hand")
	stop()
	c.see("redshift us-west-1: b=1")
	c.stays("a stopped group's databases", 1, "a=1", "b=1", "mine=hand")
	c.start("one", matcher("rds", "us-west-1"))
	c.becomes("the group is back", "b=1", "mine=hand")
}

func TestDatabasesWithoutAGroupAreAdopted(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1")
	_, stop := c.start("", matcher("rds", "us-west-1"))
	c.becomes("without a group", "a=1")
	stop()
	c.start("one", matcher("rds", "us-west-1"))
	c.stays("adopted", 1, "a=1")
	c.see()
	c.becomes("removed by the group", []string{}...)
}

func TestDiscoveryConfigsTakeEffectAtOnce(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1", "rds eu-west-1: b=1")
	config := func(name, group, region string) {
		c.apply(fmt.Sprintf("kind: discovery_config\nversion: v1\nmetadata: {name: %s}\nspec: {discovery_group: %s, aws: [{types: rds, regions: %s}]}\n", name, group, region))
	}
	c.startEvery(time.Hour, "one")
	config("others", "other", "eu-west-1")
	config("more", "one", "us-west-1")
	c.becomes("a config of the group", "a=1")
	if label := c.list(resource.KindDatabase)[0].Meta().Labels["teleport.internal/discovery-config-name"]; label != "more" {
		t.Errorf("the config in the labels is %q", label)
	}
	config("more", "one", "eu-west-1")
	c.becomes("another region", "b=1")
	if _, err := c.admin.Resources.DeleteResource(t.Context(), &sallyportv1.DeleteResourceRequest{Kind: resource.KindDiscoveryConfig, Name: "more"}); err != nil {
		t.Fatal(err)
	}
	c.becomes("the config is gone", []string{}...)
}

// TestAnotherRoleThatSeesNothing has a matcher get a role that is not allowed to look: what was found with the former one
// is not gone.
func TestAnotherRoleThatSeesNothing(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1 b=1", "rds eu-west-1: c=1")
	config := func(region, role string) {
		c.apply(fmt.Sprintf("kind: discovery_config\nversion: v1\nmetadata: {name: more}\nspec: {discovery_group: one, aws: [{types: rds, regions: [%s]%s}]}\n", region, role))
	}
	c.start("one")
	config("us-west-1, eu-west-1", "")
	c.becomes("found", "a=1", "b=1", "c=1")
	c.fail("rds us-west-1", errors.New("denied"))
	config("us-west-1", ", assume_role_arn: 'arn:aws:iam::222222222222:role/discover'")
	c.becomes("another role, and one region less", "a=1", "b=1")
	c.see("rds us-west-1: a=2")
	c.stays("another role", 1, "a=1", "b=1")
	c.fail("rds us-west-1", nil)
	c.becomes("the role is allowed to look", "a=2")
}
