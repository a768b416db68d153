package clustertest_test

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/clustertest"
	"sallyport/internal/resource"
)

// TestCheckOfADatabase has an agent behind the proxy, and one beside auth, walk the way to a real PostgreSQL. There is
// no user, and so no session.
func TestCheckOfADatabase(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{Databases: []*resource.Database{clustertest.Database(t, "nowhere", "127.0.0.1:1", nil)}})
	pg := startPostgres(t, c)
	db := clustertest.Database(t, "orders", pg.Addr, nil)
	db.Spec.TLS.CACert = string(pg.DatabaseCA.CertPEM())
	c.StartAgent(t, nil, db)
	check := func(name, account string) (string, error) { return checkDatabase(t, c, name, account) }
	contains := func(text string, wanted ...string) error {
		for _, want := range wanted {
			if !strings.Contains(text, want) {
				return fmt.Errorf("the check lacks %q:\n%s", want, text)
			}
		}
		return nil
	}
	clustertest.Eventually(t, "the whole way is walked", func() error {
		text, err := check("orders", "postgres")
		if err != nil {
			return err
		}
		return contains(text, "database PASSED", "name PASSED 127.0.0.1", "connection PASSED "+pg.Addr, "client certificate PASSED", `for account "postgres"`,
			"TLS ", "issued by", `login PASSED as "postgres" to database "postgres"`, `server PASSED version "`)
	})
	text, err := check("orders", "nobody")
	if err == nil {
		err = contains(text, "client certificate PASSED", `login FAILED the database refused the login: FATAL: role "nobody" does not exist`)
	}
	if err != nil {
		t.Error(err)
	}
	clustertest.Eventually(t, "the agent beside auth checks too", func() error {
		text, err := check("nowhere", "postgres")
		if err != nil {
			return err
		}
		return contains(text, "connection FAILED", "connection refused", "client certificate PASSED")
	})
	if n := len(c.Events(t, []string{"db.session.start", "db.session.query"})); n != 0 {
		t.Errorf("%d events of sessions", n)
	}
	if n := len(c.Events(t, []string{"db.check.end"}, `"step":"login"`)); n != 1 {
		t.Errorf("%d checks failed at the login", n)
	}
}

// checkDatabase has an agent walk the way to a database, and returns the steps, one a line.
func checkDatabase(t *testing.T, c *clustertest.Cluster, name, account string) (string, error) {
	t.Helper()
	res, err := c.Admin.Databases.CheckDatabase(t.Context(), &sallyportv1.CheckDatabaseRequest{Name: name, DatabaseUser: account})
	var lines []string
	for _, step := range res.GetSteps() {
		lines = append(lines, fmt.Sprintf("%s %s %s | %s", step.GetName(), strings.TrimPrefix(step.GetResult().String(), "RESULT_"), step.GetDetail(), step.GetAdvice()))
	}
	return strings.Join(lines, "\n"), err
}
