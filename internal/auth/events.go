package auth

import (
	"context"
	"strings"

	"connectrpc.com/connect"
	"github.com/google/uuid"

	"sallyport/internal/access"
	"sallyport/internal/audit"
	"sallyport/internal/audit/eventlog"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// auditAPI implements AuditService.
type auditAPI struct{ *Authority }

// SearchEvents implements the API.
func (a auditAPI) SearchEvents(ctx context.Context, req *sallyportv1.SearchEventsRequest) (*sallyportv1.SearchEventsResponse, error) {
	query := eventlog.Query{
		Types: req.GetTypes(), User: req.GetUser(), SID: req.GetSessionId(),
		Limit: int(req.GetLimit()), Cursor: req.GetPageToken(), Descending: !req.GetAscending(),
	}
	if from := req.GetFrom(); from != nil {
		query.From = from.AsTime()
	}
	if to := req.GetTo(); to != nil {
		query.To = to.AsTime()
	}
	c := callerOf(ctx)
	if c.user != nil && !a.quotas.searches.Take(c.id.Name) {
		return nil, fault.New(fault.LimitExceeded, "too many searches of the audit log; wait a second and try again")
	}
	event := &audit.Search{UserMeta: userMeta(c), From: query.From, To: query.To, Types: query.Types, OfUser: query.User}
	if sid, err := uuid.Parse(query.SID); err == nil {
		event.OfSession = sid.String()
	}
	if err := a.record(ctx, event); err != nil {
		return nil, err
	}
	page, err := a.Log.Search(ctx, query)
	if err != nil {
		return nil, err
	}
	lines, err := c.readable(page.Lines)
	return &sallyportv1.SearchEventsResponse{Events: lines, NextPageToken: page.Next}, err
}

// readable leaves out what the caller may not read: the statements of sessions which it may not play.
func (c *caller) readable(lines [][]byte) ([][]byte, error) {
	if c.user == nil || c.may(resource.KindSession, verbRead, access.RuleContext{Knowledge: access.Unknown}) {
		return lines, nil
	}
	var kept [][]byte
	mayPlay := map[string]bool{}
	for _, line := range lines {
		event, _, err := eventlog.SplitLine(line)
		if err != nil {
			return nil, err
		}
		f, err := audit.Parse(event)
		if err != nil {
			return nil, err
		}
		if isStatement(f.Type) {
			may, known := mayPlay[f.User]
			if !known {
				may = c.may(resource.KindSession, verbRead, access.RuleContext{SessionParticipants: []string{f.User}})
				mayPlay[f.User] = may
			}
			if !may {
				continue
			}
		}
		kept = append(kept, line)
	}
	return kept, nil
}

// isStatement reports whether events of the type hold what was said in a session.
func isStatement(typ string) bool {
	return strings.HasPrefix(typ, sessionEvents) &&
		typ != (*audit.DatabaseSessionStart)(nil).Type() && typ != (*audit.DatabaseSessionEnd)(nil).Type()
}

// ReadSession implements the API.
func (a auditAPI) ReadSession(ctx context.Context, req *sallyportv1.ReadSessionRequest, stream *connect.ServerStream[sallyportv1.ReadSessionResponse]) error {
	sid, err := uuid.Parse(req.GetSessionId())
	if err != nil {
		return fault.New(fault.BadParameter, "%q is not a session id; take the sid of an event, a UUID, as tctl audit ls shows it", req.GetSessionId())
	}
	event := &audit.SessionRecordingAccess{UserMeta: userMeta(callerOf(ctx)), SessionMeta: audit.SessionMeta{SID: sid.String()},
		SessionType: "db", Format: req.GetFormat()}
	if err := a.record(ctx, event); err != nil {
		return err
	}
	found := false
	for line, err := range a.Log.Session(ctx, sid.String()) {
		if err != nil {
			return err
		}
		found = true
		if err := stream.Send(&sallyportv1.ReadSessionResponse{Event: line}); err != nil {
			return err
		}
	}
	if !found {
		return fault.New(fault.NotFound, "session %s was not found in the audit log; tctl audit ls shows the sid of sessions", sid)
	}
	return nil
}
