package clustertest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/clustertest"
)

// TestRolesAskForTheProtocolInTheRecord checks that the option of a role, and nothing else, puts the messages of the extended
// protocol into the log.
func TestRolesAskForTheProtocolInTheRecord(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	codes := []string{"TPG00I", "TPG01I", "TPG02I", "TPG03I"}
	run := func(marker string) (found []string) {
		conn := s.session(t, "orders")
		const text = "select $1::text"
		if _, err := conn.Exec(t.Context(), text, pgx.QueryExecModeExec, marker); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Prepare(t.Context(), "named", "select 1"); err != nil {
			t.Fatal(err)
		}
		if err := conn.Deallocate(t.Context(), "named"); err != nil {
			t.Fatal(err)
		}
		sid := ""
		if err := conn.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		clustertest.Eventually(t, "the statement is in the log", func() error {
			queries := s.Events(t, []string{"db.session.query"}, marker)
			if len(queries) != 1 {
				return fmt.Errorf("%d query events", len(queries))
			}
			_, sid, _ = strings.Cut(queries[0], `"sid":"`)
			sid, _, _ = strings.Cut(sid, `"`)
			if len(s.Events(t, []string{"db.session.end"}, sid)) != 1 {
				return fmt.Errorf("no end of session %s", sid)
			}
			return nil
		})
		for _, code := range codes {
			if len(s.Events(t, nil, sid, `"code":"`+code+`"`)) > 0 {
				found = append(found, code)
			}
		}
		return found
	}
	// What no Execute has recorded is there in any case.
	if got := fmt.Sprint(run("without the option")); got != "[TPG00I]" {
		t.Errorf("without the option the log has %s", got)
	}
	s.Apply(t, strings.Replace(dbRole, "spec:", "spec:\n  options: {record_session: {database_protocol: true}}", 1))
	clustertest.Eventually(t, "the agent knows of the option", func() error {
		if got := run("with the option " + fmt.Sprint(len(s.Events(t, []string{"db.session.start"})))); len(got) != len(codes) {
			return fmt.Errorf("the log has %s", got)
		}
		return nil
	})
}
