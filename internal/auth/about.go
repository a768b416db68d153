package auth

import (
	"context"
	"errors"

	"sallyport/internal/access"
	"sallyport/internal/audit"
	"sallyport/internal/audit/eventlog"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

// The functions of this file say what a request is about, for the conditions of rules.

// aboutResource is for requests about resources. A write is about what is sent and about what is stored
// under its name, so that nobody reaches something by sending it with other labels.
func aboutResource(ctx context.Context, a *Authority, request any) ([]access.RuleContext, error) {
	switch req := request.(type) {
	case interface {
		GetResource() *sallyportv1.Resource
	}:
		return a.aboutWrite(ctx, req.GetResource())
	case interface {
		GetKind() string
		GetName() string
	}:
		stored, err := a.aboutStored(ctx, req.GetKind(), req.GetName())
		return []access.RuleContext{stored}, err
	default:
		return []access.RuleContext{{Knowledge: access.OneByOne}}, nil
	}
}

func (a *Authority) aboutWrite(ctx context.Context, wire *sallyportv1.Resource) ([]access.RuleContext, error) {
	sent, err := resource.Decode(wire.GetKind(), wire.GetJson())
	if err != nil {
		return []access.RuleContext{{Knowledge: access.Unknown}}, nil // the method refuses it with the reason
	}
	_ = sent.Validate() // names what exists once; what is wrong, the method says
	stored, err := a.getKey(ctx, keyOf(sent))
	if errors.Is(err, store.ErrNotFound) {
		return []access.RuleContext{contextOf(sent)}, nil
	}
	if err != nil {
		return nil, err
	}
	return []access.RuleContext{contextOf(sent), contextOf(stored)}, nil
}

func (a *Authority) aboutStored(ctx context.Context, kind, name string) (access.RuleContext, error) {
	if single, ok := resource.SingletonName(kind); ok {
		name = single
	}
	stored, err := a.get(ctx, kind, name)
	if errors.Is(err, store.ErrNotFound) {
		return access.RuleContext{Name: name}, nil
	}
	if err != nil {
		return access.RuleContext{}, err
	}
	return contextOf(stored), nil
}

func contextOf(r resource.Resource) access.RuleContext {
	about := access.RuleContext{Name: r.GetName(), Labels: r.Meta().Labels}
	switch r := r.(type) {
	case *resource.Database:
		about.Labels = r.AllLabels()
	case *resource.DatabaseServer:
		if r.Spec.Database != nil {
			about.Labels = r.Spec.Database.AllLabels()
		}
	}
	return about
}

// aboutCheck is for checks of a database: about what is stored under its name, and about what agents serve under it.
func aboutCheck(ctx context.Context, a *Authority, request any) ([]access.RuleContext, error) {
	req, ok := request.(*sallyportv1.CheckDatabaseRequest)
	if !ok {
		return []access.RuleContext{{Knowledge: access.Unknown}}, nil
	}
	stored, err := a.aboutStored(ctx, resource.KindDatabase, req.GetName())
	if err != nil {
		return nil, err
	}
	about := []access.RuleContext{stored}
	servers, err := a.serversOf(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	for _, server := range servers {
		about = append(about, contextOf(server.Spec.Database))
	}
	if len(servers) > 0 && stored.Labels == nil {
		about = about[1:] // there is no resource of the name
	}
	return about, nil
}

// aboutUser is for requests that name a user.
func aboutUser(ctx context.Context, a *Authority, request any) ([]access.RuleContext, error) {
	req, ok := request.(interface{ GetName() string })
	if !ok {
		return []access.RuleContext{{Knowledge: access.Unknown}}, nil
	}
	stored, err := a.aboutStored(ctx, resource.KindUser, req.GetName())
	return []access.RuleContext{stored}, err
}

// aboutSession is for requests about a recorded session.
func aboutSession(ctx context.Context, a *Authority, request any) ([]access.RuleContext, error) {
	req, ok := request.(*sallyportv1.ReadSessionRequest)
	if !ok {
		return []access.RuleContext{{Knowledge: access.Unknown}}, nil
	}
	about := access.RuleContext{Name: req.GetSessionId()}
	for line, err := range a.Log.Session(ctx, req.GetSessionId()) {
		if err != nil {
			return nil, err
		}
		event, _, err := eventlog.SplitLine(line)
		if err != nil {
			return nil, err
		}
		first, err := audit.Parse(event)
		if err != nil {
			return nil, err
		}
		about.SessionParticipants = []string{first.User}
		break
	}
	return []access.RuleContext{about}, nil
}
