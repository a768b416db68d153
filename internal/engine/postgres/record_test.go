package postgres_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres/pgtest"
)

// TestProtocolEvents checks that the messages of the extended protocol are recorded themselves only if asked for.
func TestProtocolEvents(t *testing.T) {
	t.Parallel()
	statements := []string{"TDB00I", "TDB02I", "TDB10I", "TDB01I"}
	for name, c := range map[string]struct {
		asked bool
		want  []string
	}{
		"not asked for": {false, statements},
		"asked for":     {true, slices.Insert(slices.Insert(slices.Clone(statements), 3, "TPG03I"), 1, "TPG00I", "TPG01I", "TPG02I")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, _ := small(t, pgtest.Options{}, func(cfg *enginetest.Config) {
				cfg.Options.RecordProtocol = c.asked
			})
			w := logIn(t, agent)
			w.send(&pgproto3.Parse{Name: "s", Query: "select $1"}, &pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("x"), nil}}, &pgproto3.Execute{}, &pgproto3.Sync{})
			w.untilReady()
			w.send(&pgproto3.Close{ObjectType: 'S', Name: "s"}, &pgproto3.Sync{})
			w.untilReady()
			w.send(&pgproto3.Terminate{})
			v := agent.Visit(t, 0)
			if err := v.Wait(t); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, event := range v.Journal.Events() {
				got = append(got, event.Code)
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("recorded %q, want %q", got, c.want)
			}
		})
	}
}
