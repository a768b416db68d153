package finder_test

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/memorydb"
)

// TestLooksFitTheRateThatAWSAllows has AWS throttle what comes faster than a rate, as it does where tags take a call for
// each database. A look that only tries again as often as it is refused uses its tries up.
func TestLooksFitTheRateThatAWSAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clusters, perSecond = 400, 10
		c := start(t)
		t.Setenv("AWS_MAX_ATTEMPTS", "")
		if err := os.Unsetenv("AWS_MAX_ATTEMPTS"); err != nil {
			t.Fatal(err)
		}
		for i := range clusters {
			if err := c.memorydb.Add(&memorydb.Cluster{Place: here, Name: fmt.Sprintf("m-%04d", i)}); err != nil {
				t.Fatal(err)
			}
		}
		c.Inject(fakeaws.Fault{Operation: "ListTags", Kind: fakeaws.Rate, PerSecond: perSecond})
		began := time.Now()
		if dbs := c.find(t, "memorydb"); len(dbs) != clusters {
			t.Errorf("found %d databases", len(dbs))
		}
		if took := time.Since(began); took > 3*clusters/perSecond*time.Second {
			t.Errorf("took %s, and could be done in %s", took, clusters/perSecond*time.Second)
		}
		throttled := 0
		for _, call := range c.Calls("memorydb", "ListTags") {
			if call.Error != "" {
				throttled++
			}
		}
		if throttled == 0 || throttled > 2*clusters {
			t.Errorf("%d calls were throttled", throttled)
		}
	})
}
