package agent_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/agent"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// ending is an engine whose sessions end at once, with an error or with none.
type ending struct{ err error }

func (e ending) Serve(context.Context, net.Conn, *session.Session) error { return e.err }

func TestTheLogHasAnErrorOnlyOfSessionsThatEndedInOne(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"none": {nil, ""},
		"one":  {errors.New("the client said nonsense"), `error="the client said nonsense"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAuthority(t)
				a.store(t, strings.NewReplacer("NAME", "it", "MODE", "''").Replace(role))
				running := a.start(t, func(config *agent.Config) {
					config.Engines = map[string]agent.Protocol{resource.ProtocolPostgres: {Engine: ending{c.err}}}
				}, database(t, "orders", nil))
				time.Sleep(time.Second) // and it is served
				running.visit(t, "orders", alice("orders", "it"))
				running.stop()
				ends := 0
				for line := range strings.Lines(running.log.String()) {
					if !strings.Contains(line, `msg="session ended"`) {
						continue
					}
					ends++
					if strings.Contains(line, "error=") != (c.want != "") || !strings.Contains(line, c.want) {
						t.Errorf("want %q in %s", c.want, line)
					}
				}
				if ends != 1 {
					t.Errorf("%d sessions ended: %s", ends, running.log.String())
				}
			})
		})
	}
}
