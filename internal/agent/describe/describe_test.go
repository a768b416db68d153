package describe_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/agent/describe"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

var errAway = fault.New(fault.ConnectionProblem, "AWS does not answer")

// cloud answers about databases by name.
type cloud struct {
	mu     sync.Mutex
	takes  map[string]time.Duration
	errs   map[string]error
	asked  map[string]int
	most   int // questions at one time
	now    int
	labels int // counts answers
}

func newCloud() *cloud {
	return &cloud{takes: map[string]time.Duration{}, errs: map[string]error{}, asked: map[string]int{}}
}

func (c *cloud) Describe(ctx context.Context, db *resource.Database) (*resource.Database, error) {
	name := db.GetName()
	c.mu.Lock()
	c.asked[name]++
	c.now++
	c.most = max(c.most, c.now)
	takes := c.takes[name]
	c.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now--
	if err := c.errs[name]; err != nil {
		return nil, err
	}
	c.labels++
	out := resource.Clone(db)
	out.Status.AWS.RDS.ResourceID = "db-" + name
	out.Metadata.Labels["answer"] = fmt.Sprint(c.labels)
	out.Spec.TLS.ServerName = name + ".example.com"
	return out, nil
}

func (c *cloud) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *cloud) questions(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[name]
}

func database(name, origin string) *resource.Database {
	db := &resource.Database{Spec: resource.DatabaseSpec{Protocol: "postgres", URI: name + ".abcdefghijkl.us-west-1.rds.amazonaws.com:5432"}}
	db.Kind, db.Version, db.Metadata.Name = resource.KindDatabase, "v3", name
	db.Metadata.Labels = map[string]string{resource.LabelOrigin: origin}
	return db
}

func own(name string) *resource.Database {
	db := database(name, resource.OriginConfigFile)
	db.Spec.URI = name + ".example.com:5432"
	return db
}

// bench runs a keeper over some databases in a bubble of time.
func bench(t *testing.T, c *cloud, databases *[]*resource.Database, test func(serve func() string, log *bytes.Buffer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		k := describe.New(describe.Config{Describer: c, Logger: slog.New(slog.NewTextHandler(&log, nil)), Now: time.Now})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { k.Run(ctx) })
		test(func() string {
			wanted := map[string]*resource.Database{}
			for _, db := range *databases {
				wanted[db.GetName()] = resource.Clone(db)
			}
			k.Serve(wanted)
			synctest.Wait()
			var served []string
			for _, name := range slices.Sorted(maps.Keys(wanted)) {
				if answer := wanted[name].Metadata.Labels["answer"]; answer != "" {
					if wanted[name].Status.AWS.RDS.ResourceID != "db-"+name || wanted[name].Spec.TLS.ServerName != name+".example.com" {
						t.Errorf("%s is filled in with something else: %+v", name, wanted[name])
					}
					name += "+"
				}
				served = append(served, name)
			}
			return strings.Join(served, " ")
		}, &log)
		stop()
		running.Wait()
	})
}

func TestNoDatabaseHoldsUpAnother(t *testing.T) {
	t.Parallel()
	c := newCloud()
	c.takes["slow"], c.takes["hidden"] = 30*time.Second, 30*time.Second
	c.errs["away"] = errAway
	bench(t, c, &[]*resource.Database{own("own"), database("fast", resource.OriginConfigFile), database("slow", resource.OriginConfigFile),
		database("away", resource.OriginDynamic), database("hidden", resource.OriginCloud)}, func(serve func() string, _ *bytes.Buffer) {
		for _, step := range []struct {
			after time.Duration
			want  string
		}{
			{0, "own"},
			{0, "away fast+ own"},
			{9 * time.Second, "away fast+ own"},
			{time.Second, "away fast+ own slow"}, // it has waited long enough, and the discovered one may not
			{21 * time.Second, "away fast+ hidden+ own slow+"},
		} {
			time.Sleep(step.after)
			if got := serve(); got != step.want {
				t.Errorf("%s later: served %q, want %q", step.after, got, step.want)
			}
		}
		if n := c.questions("own"); n > 0 {
			t.Errorf("%d questions about a database of one's own", n)
		}
	})
}

func TestAnAnswerOutlivesTrouble(t *testing.T) {
	t.Parallel()
	c := newCloud()
	bench(t, c, &[]*resource.Database{database("fast", resource.OriginCloud)}, func(serve func() string, log *bytes.Buffer) {
		serve()
		if got := serve(); got != "fast+" {
			t.Fatal(got)
		}
		c.set(func() { c.errs["fast"] = errAway })
		time.Sleep(3 * time.Hour)
		if got := serve(); got != "fast+" || c.questions("fast") < 10 || c.questions("fast") > 60 {
			t.Errorf("served %q after %d questions", got, c.questions("fast"))
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings", n)
		}
		c.set(func() { c.errs["fast"] = nil })
		time.Sleep(6 * time.Minute)
		serve()
		if !strings.Contains(log.String(), "answers about database again") {
			t.Error("nobody was told that AWS answers again")
		}
	})
}

func TestARefusedDatabaseIsNotServed(t *testing.T) {
	t.Parallel()
	c := newCloud()
	databases := []*resource.Database{database("moved", resource.OriginCloud), database("own", resource.OriginConfigFile)}
	bench(t, c, &databases, func(serve func() string, log *bytes.Buffer) {
		serve()
		if got := serve(); got != "moved+ own+" {
			t.Fatal(got)
		}
		c.set(func() {
			c.errs["moved"] = fault.New(fault.CompareFailed, "expect database URL")
			c.errs["own"] = c.errs["moved"]
		})
		time.Sleep(2 * time.Hour)
		if got := serve(); got != "" || !strings.Contains(log.String(), "expect database URL") {
			t.Errorf("served %q", got)
		}
		c.set(func() { c.errs["moved"], c.errs["own"] = errAway, errAway }) // which does not make them good
		time.Sleep(time.Hour)
		if got := serve(); got != "" {
			t.Errorf("AWS away: served %q", got)
		}
		c.set(func() { c.errs["moved"] = nil })
		databases[0].Spec.URI = "moved.zyxwvutsrqpo.us-west-1.rds.amazonaws.com:5432"
		serve()
		if got := serve(); got != "moved+" { // of the other one nothing has changed yet
			t.Errorf("written anew: served %q", got)
		}
	})
}

func TestQuestionsAreAskedOnce(t *testing.T) {
	t.Parallel()
	c := newCloud()
	var databases []*resource.Database
	for i := range 100 {
		name := fmt.Sprintf("db%d", i)
		c.takes[name] = time.Second
		databases = append(databases, database(name, resource.OriginCloud))
	}
	bench(t, c, &databases, func(serve func() string, _ *bytes.Buffer) {
		for range 20 {
			serve()
			time.Sleep(time.Second)
		}
		if got := strings.Count(serve(), "+"); got != 100 {
			t.Errorf("%d are served", got)
		}
		if c.most != 8 {
			t.Errorf("%d questions at one time", c.most)
		}
		for name, n := range c.asked {
			if n != 1 {
				t.Errorf("%d questions about %s", n, name)
			}
		}
		databases = nil
		serve()
		time.Sleep(3 * time.Hour)
		if n := c.questions("db1"); n > 1 {
			t.Errorf("%d questions about a database that is not wanted any more", n)
		}
	})
}

func TestChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		c.takes["slow"] = time.Minute
		k := describe.New(describe.Config{Describer: c, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		ctx, stop := context.WithCancelCause(t.Context())
		var running sync.WaitGroup
		running.Go(func() { k.Run(ctx) })
		began := time.Now()
		for _, want := range []time.Duration{10 * time.Second, time.Minute} { // it has waited long enough; the answer
			changed := k.Changed()
			k.Serve(map[string]*resource.Database{"slow": database("slow", resource.OriginConfigFile)})
			<-changed
			if got := time.Since(began); got != want {
				t.Errorf("told after %s, not %s", got, want)
			}
		}
		stop(errors.New("over"))
		running.Wait()
	})
}
