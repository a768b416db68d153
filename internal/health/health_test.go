package health_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/health"
	"sallyport/internal/resource"
)

var errDown = fault.New(fault.ConnectionProblem, "connection refused")

// world is a keeper whose checks find what a test says, in a bubble of time.
type world struct {
	*health.Keeper
	stop func()

	mu     sync.Mutex
	checks map[string]int // by database
	broken map[string]error
	told   []string
	during func(ctx context.Context, name string) // a check
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{checks: make(map[string]int), broken: make(map[string]error), during: func(context.Context, string) {}}
	w.Keeper = health.New(health.Config{
		Check: func(ctx context.Context, db *resource.Database) health.Result {
			w.mu.Lock()
			w.checks[db.GetName()]++
			r := health.Result{Address: db.Spec.URI, Protocol: resource.HealthTCP, Err: w.broken[db.GetName()]}
			during := w.during
			w.mu.Unlock()
			during(ctx, db.GetName())
			return r
		},
		Tell: func(t health.Transition) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.told = append(w.told, fmt.Sprintf("%s: %s, was %s", t.Database.GetName(), t.Now.Status, t.Was))
		},
		Now: time.Now, Jitter: func(d time.Duration) time.Duration { return d / 2 },
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	w.stop = func() { cancel(); running.Wait() }
	return w
}

func (w *world) set(name string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken[name] = err
}

func (w *world) checksOf(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.checks[name]
}

// is fails the test unless the database has the status for the reason.
func (w *world) is(t *testing.T, when, name, status, reason string) {
	t.Helper()
	synctest.Wait()
	if h := w.Health(name); h.Status != status || h.TransitionReason != reason {
		t.Errorf("%s: %s is %s because of %s, want %s because of %s", when, name, h.Status, h.TransitionReason, status, reason)
	}
}

func (w *world) tells(t *testing.T, when string, want ...string) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := fmt.Sprint(w.told); got != fmt.Sprint(want) {
		t.Errorf("%s: told %s, want %s", when, got, fmt.Sprint(want))
	}
	w.told = nil
}

func database(name string, labels map[string]string) *resource.Database {
	db := &resource.Database{}
	db.SetKind(resource.KindDatabase)
	db.Metadata.Name, db.Metadata.Labels = name, labels
	db.Spec.Protocol, db.Spec.URI = "postgres", name+".example.org:5432"
	return db
}

func config(t *testing.T, name string, change func(*resource.HealthCheckSpec)) *resource.HealthCheckConfig {
	t.Helper()
	c := resource.DefaultHealthCheck()
	c.Metadata.Name = name
	if change != nil {
		change(&c.Spec)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

type configs = []*resource.HealthCheckConfig

const (
	reached     = resource.HealthThresholdReached
	initialized = resource.HealthInitialized
)

// advance lets a little time pass.
func advance(t *testing.T) {
	t.Helper()
	time.Sleep(100 * time.Millisecond)
	synctest.Wait()
}

func TestThresholds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		defer w.stop()
		thresholds := config(t, "c", func(s *resource.HealthCheckSpec) { s.HealthyThreshold, s.UnhealthyThreshold = 3, 2 })
		w.Serve([]*resource.Database{database("a", nil)}, configs{thresholds})
		w.is(t, "before the first check", "a", "unknown", initialized)
		time.Sleep(3 * time.Second)
		w.is(t, "after one check of three", "a", "unknown", initialized)
		time.Sleep(4 * time.Second)
		w.is(t, "while nothing is known, checks come soon", "a", "healthy", reached)
		w.tells(t, "that a database is healthy at first is no news")
		w.set("a", errDown)
		time.Sleep(30 * time.Second)
		w.is(t, "after one failure of two", "a", "healthy", reached)
		w.set("a", nil)
		time.Sleep(30 * time.Second)
		w.set("a", errDown)
		time.Sleep(30 * time.Second)
		w.is(t, "a pass between two failures", "a", "healthy", reached)
		w.tells(t, "below the threshold")
		time.Sleep(30 * time.Second)
		w.is(t, "two failures in a row", "a", "unhealthy", reached)
		w.tells(t, "two failures in a row", "a: unhealthy, was healthy")
		if h := w.Health("a"); h.TransitionError != "connection refused" || h.Address != "a.example.org:5432" || h.Message != "2 checks in a row failed" {
			t.Errorf("unhealthy: %+v", h)
		}
		since := *w.Health("a").TransitionTimestamp
		time.Sleep(5 * time.Minute)
		w.is(t, "ten failures", "a", "unhealthy", reached)
		w.tells(t, "what stays is told once")
		if h := w.Health("a"); !h.TransitionTimestamp.Equal(since) {
			t.Errorf("the status began at %s, and %s later", since, h.TransitionTimestamp.Sub(since))
		}
		w.set("a", nil)
		time.Sleep(60 * time.Second)
		w.is(t, "two passes of three", "a", "unhealthy", reached)
		time.Sleep(30 * time.Second)
		w.is(t, "three passes", "a", "healthy", reached)
		w.tells(t, "three passes", "a: healthy, was unhealthy")
		if h := w.Health("a"); h.TransitionError != "" {
			t.Errorf("a healthy database has the error %q", h.TransitionError)
		}
	})
}

func TestADatabaseThatIsDownFromTheBeginningIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		defer w.stop()
		w.set("a", errDown)
		w.Serve([]*resource.Database{database("a", nil)}, configs{config(t, "c", nil)})
		time.Sleep(3 * time.Second)
		w.is(t, "at first", "a", "unhealthy", reached)
		w.tells(t, "at first", "a: unhealthy, was healthy")
	})
}

func TestADatabaseThatComesUpAfterItsAgentIsSeenSoon(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]time.Duration{"in the first minute": 50 * time.Second, "later": 95 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := start(t)
				defer w.stop()
				w.set("a", errDown)
				w.Serve([]*resource.Database{database("a", nil)}, configs{config(t, "c", nil)})
				time.Sleep(late)
				w.is(t, "while it is down", "a", "unhealthy", reached)
				w.set("a", nil)
				if late > time.Minute { // the next check comes after an interval; the one that confirms it soon
					time.Sleep(27 * time.Second)
				}
				time.Sleep(5 * time.Second)
				w.is(t, "when it is up", "a", "healthy", reached)
				before := w.checksOf("a")
				w.set("a", errDown)
				time.Sleep(time.Minute)
				if n := w.checksOf("a") - before; n > 2 {
					t.Errorf("%d checks in a minute of a database that is down again", n)
				}
			})
		})
	}
}

func TestADatabaseThatStaysDownIsCheckedAtItsInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		defer w.stop()
		w.set("a", errDown)
		w.Serve([]*resource.Database{database("a", nil)}, configs{config(t, "c", nil)})
		time.Sleep(65 * time.Second)
		before := w.checksOf("a")
		time.Sleep(5 * time.Minute)
		if n := w.checksOf("a") - before; n < 9 || n > 11 {
			t.Errorf("%d checks in five minutes, want one in 30 seconds", n)
		}
	})
}

func TestChecksThatCannotBeMadeSayNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		defer w.stop()
		w.Serve([]*resource.Database{database("a", nil)}, configs{config(t, "c", nil)})
		time.Sleep(time.Minute)
		w.set("a", fault.Wrap(fault.Internal, health.ErrNotMade, "no authorities"))
		time.Sleep(time.Minute)
		w.is(t, "not made", "a", "unknown", resource.HealthInternalError)
		if h := w.Health("a"); h.TransitionError != "no authorities" {
			t.Errorf("not made: %+v", h)
		}
		w.set("a", nil)
		time.Sleep(20 * time.Second)
		w.is(t, "made once again", "a", "unknown", resource.HealthInternalError)
		time.Sleep(30 * time.Second)
		w.is(t, "made twice again", "a", "healthy", reached)
		w.tells(t, "a fault of the agent is told once, and that it is over is no news of the database", "a: unknown, was healthy")
		if n := w.Counts()[health.Count{Protocol: "postgres", Result: "not_made"}]; n < 1 {
			t.Errorf("%d checks were not made", n)
		}
	})
}

func TestChangesOfConfigsTakeEffectAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		defer w.stop()
		dbs := []*resource.Database{database("a", map[string]string{"env": "prod"})}
		w.Serve(dbs, nil)
		w.is(t, "without configs", "a", "unknown", resource.HealthDisabled)
		time.Sleep(time.Hour)
		if n := w.checksOf("a"); n != 0 {
			t.Errorf("%d checks without a config", n)
		}
		slow := config(t, "c", func(s *resource.HealthCheckSpec) { s.Interval = resource.Duration(10 * time.Minute) })
		w.Serve(dbs, configs{slow})
		w.is(t, "with a config", "a", "unknown", initialized)
		time.Sleep(5 * time.Second)
		w.is(t, "seconds later", "a", "healthy", reached)
		w.set("a", errDown)
		w.Serve(dbs, configs{config(t, "c", func(s *resource.HealthCheckSpec) { s.Interval, s.Timeout = resource.Duration(2*time.Second), 0 })})
		w.is(t, "with another interval", "a", "healthy", reached)
		time.Sleep(3 * time.Second)
		w.is(t, "at the shorter interval", "a", "unhealthy", reached)
		w.tells(t, "at the shorter interval", "a: unhealthy, was healthy")
		w.Serve(dbs, configs{config(t, "c", func(s *resource.HealthCheckSpec) {
			s.Match.DatabaseLabels = resource.ListedLabels{"env": {"dev"}}
		})})
		w.is(t, "with a config for others", "a", "unknown", resource.HealthDisabled)
		before := w.checksOf("a")
		time.Sleep(time.Hour)
		if n := w.checksOf("a") - before; n != 0 {
			t.Errorf("%d checks by a config for others", n)
		}
		w.set("a", nil)
		w.Serve(dbs, configs{config(t, "c", nil)})
		time.Sleep(10 * time.Second)
		w.tells(t, "what was told last was that it is unhealthy", "a: healthy, was unhealthy")
	})
}

// TestNothingIsToldOfDatabasesThatAreGone removes databases while a check is under way, and stops meanwhile.
func TestNothingIsToldOfDatabasesThatAreGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		ended := 0
		w.during = func(ctx context.Context, name string) {
			<-ctx.Done()
			w.mu.Lock()
			defer w.mu.Unlock()
			ended++
		}
		w.set("a", errDown)
		a := database("a", nil)
		every := configs{config(t, "c", nil)}
		w.Serve([]*resource.Database{a, database("b", nil)}, every)
		time.Sleep(2 * time.Second)
		w.Serve([]*resource.Database{database("b", nil)}, every)
		synctest.Wait()
		w.mu.Lock()
		if ended != 1 {
			t.Errorf("%d checks have ended, want that of the database that went", ended)
		}
		w.mu.Unlock()
		time.Sleep(time.Hour)
		if n := w.checksOf("a"); n != 1 {
			t.Errorf("%d checks of a database that went during the first", n)
		}
		w.tells(t, "of a database that went")
		w.is(t, "gone", "a", "", "")
		moved := database("b", nil)
		moved.Spec.URI = "elsewhere.example.org:5432"
		w.Serve([]*resource.Database{moved}, every)
		w.is(t, "at another address", "b", "unknown", initialized)
		time.Sleep(2 * time.Second)
		w.stop()
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.told) != 0 {
			t.Errorf("after the stop: %s", w.told)
		}
	})
}

// TestManyDatabases fail together: checks are bounded in number, all are checked, and those who follow are told of it once a second.
func TestManyDatabases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		defer w.stop()
		now, most := 0, 0
		w.during = func(ctx context.Context, name string) {
			w.mu.Lock()
			now++
			most = max(most, now)
			w.mu.Unlock()
			n, _ := strconv.Atoi(name)
			select {
			case <-time.After(4*time.Second + time.Duration(n)*time.Millisecond): // so that they do not end together
			case <-ctx.Done():
			}
			w.mu.Lock()
			now--
			w.mu.Unlock()
		}
		var dbs []*resource.Database
		for i := range 1000 {
			dbs = append(dbs, database(fmt.Sprint(i), nil))
			w.set(fmt.Sprint(i), errDown)
		}
		w.Serve(dbs, configs{config(t, "c", nil)})
		notices := 0
		follow, done := context.WithCancel(t.Context())
		var following sync.WaitGroup
		following.Go(func() {
			for {
				select {
				case <-w.Changed():
					notices++
				case <-follow.Done():
					return
				}
			}
		})
		time.Sleep(time.Minute)
		done()
		following.Wait()
		w.mu.Lock()
		if most > 128 || most < 100 {
			t.Errorf("%d checks at a time", most)
		}
		w.mu.Unlock()
		if n := w.Statuses()["postgres"]["unhealthy"]; n != len(dbs) {
			t.Errorf("%d of %d are unhealthy", n, len(dbs))
		}
		if notices == 0 || notices > 60 {
			t.Errorf("%d notices within a minute", notices)
		}
	})
}

func TestErrorsAreFitToBeShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		defer w.stop()
		long := make([]byte, 10_000)
		w.set("a", fault.New(fault.ConnectionProblem, "certificate of \x1b[31m\u202eevil\xff %s", long))
		w.set("b", errors.New("secret detail"))
		w.Serve([]*resource.Database{database("a", nil), database("b", nil)}, configs{config(t, "c", nil)})
		time.Sleep(3 * time.Second)
		server := &resource.DatabaseServer{}
		server.SetKind(resource.KindDatabaseServer)
		server.Metadata.Name, server.Spec.HostID, server.Spec.Database = "a", "host", database("a", nil)
		server.Status.TargetHealth = w.Health("a")
		if err := server.Validate(); err != nil {
			t.Errorf("a server that shows it is refused: %v", err)
		}
		if text := w.Health("a").TransitionError; len(text) > 2048 || text[:15] != "certificate of " {
			t.Errorf("error of %d bytes: %.40q", len(text), text)
		}
		if text := w.Health("b").TransitionError; text == "" || text == "secret detail" {
			t.Errorf("an error that is not for people: %q", text)
		}
	})
}

// TestSilentDatabases has many databases that let everything fall: the others are checked as ever.
func TestSilentDatabases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		defer w.stop()
		w.during = func(ctx context.Context, name string) {
			if name != "good" {
				<-ctx.Done()
			}
		}
		dbs := []*resource.Database{database("good", nil)}
		for i := range 5000 {
			name := fmt.Sprintf("silent-%d", i)
			w.set(name, errDown)
			dbs = append(dbs, database(name, nil))
		}
		w.Serve(dbs, configs{config(t, "c", nil)})
		time.Sleep(10 * time.Minute)
		w.is(t, "beside databases that do not answer", "good", "healthy", reached)
		began := w.checksOf("good")
		time.Sleep(time.Hour)
		if n := w.checksOf("good") - began; n < 110 {
			t.Errorf("beside databases that do not answer, another is checked %d times in an hour, not every 30 seconds", n)
		}
		if before := w.checksOf("silent-7"); before == 0 {
			t.Error("a database that does not answer is not checked")
		}
		w.mu.Lock()
		w.during = func(context.Context, string) {}
		w.mu.Unlock()
		for i := range 5000 {
			w.set(fmt.Sprintf("silent-%d", i), nil)
		}
		time.Sleep(10 * time.Minute)
		for _, db := range dbs {
			w.is(t, "once all answer", db.GetName(), "healthy", reached)
		}
		before := w.checksOf("silent-7")
		time.Sleep(5 * time.Minute)
		if n := w.checksOf("silent-7") - before; n < 8 {
			t.Errorf("once it answers, a database is checked %d times in 5 minutes", n)
		}
	})
}
