package finder_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/finder"
)

// TestValidatedEndpoints looks for everything with endpoints that are validated by FIPS 140, as another role.
func TestValidatedEndpoints(t *testing.T) {
	c := start(t)
	role := c.Role(t, cloudtest.DatabaseAccount, "databases", cloudtest.Trust(c.Agent.ARN(), ""), cloudtest.Allow("*", "*")).ARN()
	provider := credentials.New(credentials.Config{SessionName: "s", FIPS: true, HTTPClient: c.Cloud, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	c.Finder = finder.New(finder.Config{Credentials: provider, Logger: c.logger})
	for _, kind := range finder.Types() {
		if _, err := c.Find(t.Context(), finder.Query{Type: kind, Region: region, AssumeRoleARN: role}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	var hosts []string
	for _, call := range c.Journal() {
		hosts = append(hosts, strings.TrimSuffix(call.Host, ".us-west-1.amazonaws.com"))
	}
	slices.Sort(hosts)
	if got, want := strings.Join(slices.Compact(hosts), " "), "elasticache-fips es-fips memory-db-fips rds-fips redshift-fips redshift-serverless-fips sts-fips"; got != want {
		t.Errorf("asked were\n%s\nnot\n%s", got, want)
	}
}
