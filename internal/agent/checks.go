package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/route"
	"sallyport/internal/session"
)

const (
	checkTime    = 90 * time.Second
	checksAtOnce = 4
	checkSilence = 45 * time.Second // of the auth server, which sends signs of life
	longestAsk   = 30 * time.Second // between attempts to follow checks
)

// followChecks makes the checks that the auth server asks for, until the context ends.
func (a *Agent) followChecks(ctx context.Context) {
	var checking sync.WaitGroup
	defer checking.Wait()
	room := make(chan struct{}, checksAtOnce)
	for wait := time.Duration(0); ; {
		began := a.Now()
		err := a.receiveChecks(ctx, func(check *sallyportv1.DatabaseCheck) {
			checking.Go(func() {
				select {
				case room <- struct{}{}:
					defer func() { <-room }()
					a.makeCheck(ctx, check)
				case <-ctx.Done():
				}
			})
		})
		if ctx.Err() != nil {
			return
		}
		if a.Now().Sub(began) > longestAsk {
			wait = 0
		}
		wait = min(max(2*wait, 100*time.Millisecond), longestAsk)
		a.Logger.Debug("checks of databases are not followed; trying again", "error", err, "wait", wait.String())
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
	}
}

// receiveChecks follows one stream.
func (a *Agent) receiveChecks(ctx context.Context, begin func(*sallyportv1.DatabaseCheck)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := a.Auth.Databases.FollowChecks(ctx, &sallyportv1.FollowChecksRequest{})
	if err != nil {
		return err
	}
	defer stream.Close()
	silence := time.AfterFunc(checkSilence, cancel)
	defer silence.Stop()
	for stream.Receive() {
		silence.Reset(checkSilence)
		if check := stream.Msg().GetCheck(); check != nil {
			begin(check)
		}
	}
	return stream.Err()
}

// makeCheck walks the way to a database and tells the auth server, and the log, what it found.
func (a *Agent) makeCheck(ctx context.Context, check *sallyportv1.DatabaseCheck) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime, fault.New(fault.ConnectionProblem, "the check took longer than %s", checkTime))
	defer cancel()
	logger := a.Logger.With("check", check.GetId(), "user", check.GetUser(), "db", check.GetDatabaseService(), "db_user", check.GetDatabaseUser())
	steps, err := a.walk(ctx, check)
	report := &sallyportv1.ReportCheckRequest{CheckId: check.GetId()}
	for _, step := range steps {
		report.Steps = append(report.Steps, &sallyportv1.CheckStep{Name: step.Name, Result: results[step.Result], Detail: bounded(step.Detail), Advice: bounded(step.Advice)})
	}
	logPanic(logger, err)
	if err != nil {
		logger.Warn("check of a database failed", "error", err)
	} else {
		logger.Info("database was checked")
	}
	ctx, stop := answered(ctx, 10*time.Second)
	defer stop()
	if _, err := a.Auth.Databases.ReportCheck(ctx, report); err != nil {
		logger.Warn("check was not reported", "error", err)
	}
}

var results = map[cred.Result]sallyportv1.CheckStep_Result{
	cred.Passed:   sallyportv1.CheckStep_RESULT_PASSED,
	cred.Doubtful: sallyportv1.CheckStep_RESULT_DOUBTFUL,
	cred.Failed:   sallyportv1.CheckStep_RESULT_FAILED,
}

// bounded cuts off what a database may have said at length, and leaves out what is no text.
func bounded(text string) string {
	const most = 4 << 10
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "\ufffd")
}

// walk makes a probe and has the engine check with it. There is a step for each error.
func (a *Agent) walk(ctx context.Context, check *sallyportv1.DatabaseCheck) ([]cred.Step, error) {
	refuse := func(err error) ([]cred.Step, error) { return []cred.Step{cred.Failure("agent", err)}, err }
	db, ok := a.databases.byID(route.ID(check.GetDatabaseService()))
	if !ok {
		return refuse(fault.New(fault.NotFound, "the agent does not serve database %q any more; try again", check.GetDatabaseService()))
	}
	checker, ok := a.Engines[db.Spec.Protocol].Engine.(engine.Checker)
	if !ok {
		return refuse(fault.New(fault.BadParameter, "database %q speaks %s, which this version cannot check", db.GetName(), db.Spec.Protocol))
	}
	cfg := session.ProbeConfig{
		Request: cred.Request{
			Database: db, User: check.GetUser(), DatabaseUser: check.GetDatabaseUser(), DatabaseName: check.GetDatabaseName(), Check: check.GetId(),
		},
		Credentials: a.Credentials, Resolve: a.Resolve, Dial: a.Dial, Now: a.Now,
	}
	if db.InAWS() {
		cfg.Dial, cfg.Allow = a.DialAWS, a.AllowAWS
	}
	probe, err := session.NewProbe(cfg)
	if err != nil {
		return refuse(err)
	}
	defer probe.Close()
	err = runCheck(ctx, checker, probe)
	steps := probe.Steps()
	if err != nil && !failed(steps) {
		steps = append(steps, cred.Failure("agent", err))
	}
	return steps, err
}

func failed(steps []cred.Step) bool {
	for _, step := range steps {
		if step.Result == cred.Failed {
			return true
		}
	}
	return false
}

// runCheck runs the engine; a panic ends this check only.
func runCheck(ctx context.Context, checker engine.Checker, p *session.Probe) error {
	err := engine.Guard("engine", func() error { return checker.Check(ctx, p) })
	if err != nil && context.Cause(ctx) != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return err
}
