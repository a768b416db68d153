package auth

import (
	"context"

	"connectrpc.com/connect"
	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/audit/eventlog"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
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
	page, err := a.Log.Search(ctx, query)
	return &sallyportv1.SearchEventsResponse{Events: page.Lines, NextPageToken: page.Next}, err
}

// ReadSession implements the API.
func (a auditAPI) ReadSession(ctx context.Context, req *sallyportv1.ReadSessionRequest, stream *connect.ServerStream[sallyportv1.ReadSessionResponse]) error {
	sid, err := uuid.Parse(req.GetSessionId())
	if err != nil {
		return fault.New(fault.BadParameter, "%q is not a session id; take the sid of an event, a UUID", req.GetSessionId())
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
		return fault.New(fault.NotFound, "session %s was not found in the audit log", sid)
	}
	return nil
}
