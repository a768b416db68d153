package auth

import (
	"context"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

const (
	checkTime   = 100 * time.Second // longer than the agent gives itself
	maxSteps    = 100
	maxStepText = 8 << 10
)

// FollowChecks implements the API.
func (a databaseAPI) FollowChecks(ctx context.Context, _ *sallyportv1.FollowChecksRequest, stream *connect.ServerStream[sallyportv1.FollowChecksResponse]) error {
	asked, leave := a.checks.follow(callerOf(ctx).id.Name)
	defer leave()
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	err := stream.Send(&sallyportv1.FollowChecksResponse{})
	for err == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-alive.C:
			if _, err = a.identify(ctx); err == nil {
				err = stream.Send(&sallyportv1.FollowChecksResponse{})
			}
		case check := <-asked:
			if _, err = a.identify(ctx); err == nil {
				err = stream.Send(&sallyportv1.FollowChecksResponse{Check: check})
			}
		}
	}
	return err
}

// ReportCheck implements the API.
func (a databaseAPI) ReportCheck(ctx context.Context, req *sallyportv1.ReportCheckRequest) (*sallyportv1.ReportCheckResponse, error) {
	p, err := a.checks.of(callerOf(ctx).id.Name, req.GetCheckId())
	if err != nil {
		return nil, err
	}
	steps := req.GetSteps()
	if len(steps) == 0 || len(steps) > maxSteps {
		return nil, fault.New(fault.BadParameter, "a check has 1 to %d steps", maxSteps)
	}
	for _, step := range steps {
		if len(step.GetName()) > maxStepText || len(step.GetDetail()) > maxStepText || len(step.GetAdvice()) > maxStepText {
			return nil, fault.New(fault.BadParameter, "a step of a check is longer than %d bytes", maxStepText)
		}
	}
	select {
	case p.answer <- steps:
		return &sallyportv1.ReportCheckResponse{}, nil
	default:
		return nil, fault.New(fault.AlreadyExists, "the check was answered already")
	}
}

// CheckDatabase implements the API.
func (a databaseAPI) CheckDatabase(ctx context.Context, req *sallyportv1.CheckDatabaseRequest) (*sallyportv1.CheckDatabaseResponse, error) {
	if req.GetName() == "" || req.GetDatabaseUser() == "" {
		return nil, fault.New(fault.BadParameter, "name a database, and the account to log in with")
	}
	server, known, err := a.checkAgent(ctx, req)
	res := &sallyportv1.CheckDatabaseResponse{Steps: []*sallyportv1.CheckStep{known}}
	if err != nil || server == nil {
		return res, err
	}
	who, db := userMeta(callerOf(ctx)), server.Spec.Database
	p := &pendingCheck{
		DatabaseCheck: &sallyportv1.DatabaseCheck{
			Id: uuid.NewString(), DatabaseService: db.GetName(), DatabaseUser: req.GetDatabaseUser(), DatabaseName: req.GetDatabaseName(), User: who.User,
		},
		host: server.Spec.HostID, protocol: db.Spec.Protocol, answer: make(chan []*sallyportv1.CheckStep, 1),
	}
	if err := a.checks.begin(p); err != nil {
		return nil, err
	}
	defer a.checks.end(p)
	event := audit.DatabaseCheck{
		UserMeta: who, CheckID: p.GetId(), ServerMeta: audit.ServerMeta{ID: p.host, Hostname: server.Spec.Hostname, Version: server.Spec.Version},
		DatabaseMeta: audit.DatabaseMeta{
			Service: db.GetName(), Protocol: db.Spec.Protocol, URI: db.Spec.URI, Name: req.GetDatabaseName(), User: req.GetDatabaseUser(), Type: db.Type(), Origin: db.Origin(),
		},
	}
	if err := a.record(ctx, &event); err != nil {
		return nil, err
	}
	res.Steps = append(res.Steps, a.await(ctx, p)...)
	return res, a.record(context.WithoutCancel(ctx), endOfCheck(&event, res.GetSteps())) // also when nobody waits any more
}

// endOfCheck returns the event that tells how a check went.
func endOfCheck(begin *audit.DatabaseCheck, steps []*sallyportv1.CheckStep) *audit.DatabaseCheckEnd {
	end := &audit.DatabaseCheckEnd{UserMeta: begin.UserMeta, DatabaseMeta: begin.DatabaseMeta, ServerMeta: begin.ServerMeta, CheckID: begin.CheckID}
	for _, step := range steps {
		if step.GetResult() == sallyportv1.CheckStep_RESULT_FAILED {
			end.Step, end.Error = step.GetName(), step.GetDetail()
			return end
		}
	}
	end.Success = true
	return end
}

// await has the agent make the check and returns what it found.
func (a *Authority) await(ctx context.Context, p *pendingCheck) []*sallyportv1.CheckStep {
	failed := func(detail string) []*sallyportv1.CheckStep {
		return []*sallyportv1.CheckStep{{Name: "agent", Result: sallyportv1.CheckStep_RESULT_FAILED, Detail: detail}}
	}
	if !a.checks.ask(p) {
		return failed("the agent has just gone, or has too much to check; try again")
	}
	timer := time.NewTimer(checkTime)
	defer timer.Stop()
	select {
	case steps := <-p.answer:
		return steps
	case <-ctx.Done():
		return failed("nobody waited for the answer")
	case <-timer.C:
		return failed("the agent did not answer within " + checkTime.String() + "; look into its log")
	}
}

// checkAgent chooses the agent that is to check, and returns what is known of the database. Without an agent the step
// says why.
func (a *Authority) checkAgent(ctx context.Context, req *sallyportv1.CheckDatabaseRequest) (*resource.DatabaseServer, *sallyportv1.CheckStep, error) {
	step := &sallyportv1.CheckStep{Name: "database", Result: sallyportv1.CheckStep_RESULT_FAILED}
	servers, err := a.serversOf(ctx, req.GetName())
	if err != nil {
		return nil, nil, err
	}
	if len(servers) == 0 {
		step.Detail, err = a.unserved(ctx, req.GetName())
		return nil, step, err
	}
	var chosen *resource.DatabaseServer
	var names []string
	for _, server := range servers {
		names = append(names, server.Spec.Hostname+" ("+server.Spec.HostID+")")
		asked := req.GetAgent() == "" || req.GetAgent() == server.Spec.HostID || req.GetAgent() == server.Spec.Hostname
		if chosen == nil && asked && a.checks.follows(server.Spec.HostID) {
			chosen = server
		}
	}
	served := "served by " + strings.Join(names, ", ")
	if chosen == nil {
		step.Detail = served + ", and none of them is connected"
		if req.GetAgent() != "" {
			step.Detail = served + ", and " + req.GetAgent() + " is none of them or not connected"
		}
		step.Advice = "look whether the agent runs and is of the version of this server, or later"
		return nil, step, nil
	}
	step.Result, step.Detail = sallyportv1.CheckStep_RESULT_PASSED, served+"; checked by "+chosen.Spec.Hostname
	return chosen, step, nil
}

// unserved says why no agent serves a database.
func (a *Authority) unserved(ctx context.Context, name string) (string, error) {
	_, err := a.get(ctx, resource.KindDatabase, name)
	switch {
	case err == nil:
		return "there is a db resource of that name, and no agent serves it; give an agent a selector in db_service.resources that matches its labels, and look into the agent's log. An agent that has another database of that name in its configuration file cannot serve it: change one of them, or remove the resource with tctl rm db/" + name, nil
	case fault.Is(fromStore(err), fault.NotFound):
		return "there is no such database; see tctl db ls for those that are served, and tctl get db for those that are written", nil
	default:
		return "", err
	}
}

// serversOf returns who serves a database now, by host id.
func (a *Authority) serversOf(ctx context.Context, name string) ([]*resource.DatabaseServer, error) {
	if !resource.IsDatabaseName(name) {
		return nil, nil
	}
	items, err := a.Store.List(ctx, "/"+resource.KindDatabaseServer+"/"+name+"/", "", 0)
	if err != nil {
		return nil, err
	}
	var servers []*resource.DatabaseServer
	for _, item := range items {
		r, err := a.decode(item)
		if err != nil {
			return nil, err
		}
		servers = append(servers, r.(*resource.DatabaseServer))
	}
	return servers, nil
}
