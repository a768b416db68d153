package auth

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/audit/eventlog"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
)

// sessionEvents begins the types of the events of sessions' chains.
const sessionEvents = "db.session."

// deliverable lists, by system role, the types of events that a host may deliver. All others are the auth
// server's own: a host cannot write that somebody logged in.
var deliverable = map[resource.SystemRole][]string{
	resource.RoleDb: {
		sessionEvents,
		(*audit.ClientDisconnect)(nil).Type(),
		(*audit.SessionRejected)(nil).Type(),
		(*audit.AuthFailure)(nil).Type(),
		(*audit.SpoolTorn)(nil).Type(),
		(*audit.DatabaseHealth)(nil).Type(),
	},
}

// SubmitEvents implements the API.
func (a auditAPI) SubmitEvents(ctx context.Context, req *sallyportv1.SubmitEventsRequest) (*sallyportv1.SubmitEventsResponse, error) {
	id := callerOf(ctx).id
	_, err := a.Log.Append(ctx, eventlog.Batch{
		Host: id.Name, Stream: req.GetStream(), FirstSeq: req.GetFirstSequence(), Lines: req.GetEvents(), Lost: req.GetLost(),
		Accept: func(f *audit.Fields) error { return a.acceptEvent(id, f) },
	})
	return &sallyportv1.SubmitEventsResponse{}, err
}

// acceptEvent refuses events that the host may not deliver.
func (a *Authority) acceptEvent(id *identity.Identity, f *audit.Fields) error {
	ofSession := strings.HasPrefix(f.Type, sessionEvents)
	known := f.Type
	if ofSession {
		known = sessionEvents
	}
	allowed := slices.ContainsFunc(id.SystemRoles, func(role string) bool {
		return slices.Contains(deliverable[resource.SystemRole(role)], known)
	})
	switch {
	case !allowed:
		return fault.New(fault.AccessDenied, "this host may not deliver events of type %s", f.Type)
	case f.Cluster != a.cluster:
		return fault.New(fault.AccessDenied, "the event is of cluster %q, not of this one", f.Cluster)
	case ofSession && f.SID == uuid.Nil:
		return fault.New(fault.BadParameter, "an event of type %s lacks its session", f.Type)
	case !ofSession && (f.Server == "" || f.Chained()):
		return fault.New(fault.BadParameter, "an event of type %s lacks its server_id, or is chained", f.Type)
	}
	return nil
}
