package auth

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

// WatchResources implements the API.
func (a resourceAPI) WatchResources(ctx context.Context, req *sallyportv1.WatchResourcesRequest, stream *connect.ServerStream[sallyportv1.WatchResourcesResponse]) error {
	var prefixes []string
	for _, kind := range req.GetKinds() {
		if err := a.mayRead(ctx, kind, false); err != nil {
			return err
		}
		prefixes = append(prefixes, "/"+kind+"/")
	}
	watcher := a.Store.Watch(prefixes...)
	defer watcher.Close()
	send := func(change sallyportv1.WatchResourcesResponse_Change, r *sallyportv1.Resource) error {
		return stream.Send(&sallyportv1.WatchResourcesResponse{Change: change, Resource: r})
	}
	for _, prefix := range prefixes {
		items, err := a.Store.List(ctx, prefix, "", 0)
		if err != nil {
			return err
		}
		for _, item := range items {
			if err := a.sendItem(item, send); err != nil {
				return err
			}
		}
	}
	if err := send(sallyportv1.WatchResourcesResponse_CHANGE_SYNCED, nil); err != nil {
		return err
	}
	return a.follow(ctx, watcher, send)
}

type sender func(sallyportv1.WatchResourcesResponse_Change, *sallyportv1.Resource) error

func (a resourceAPI) sendItem(item store.Item, send sender) error {
	r, err := a.decode(item)
	if err != nil {
		return err
	}
	wire, err := toWire(r, false)
	if err != nil {
		return err
	}
	return send(sallyportv1.WatchResourcesResponse_CHANGE_PUT, wire)
}

// follow sends changes until the watcher ends, or the caller is no longer welcome. While nothing changes it
// sends a sign of life, so that the other side knows how old its view is.
func (a resourceAPI) follow(ctx context.Context, watcher *store.Watcher, send sender) error {
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-alive.C:
			if _, err = a.identify(ctx); err == nil {
				err = send(sallyportv1.WatchResourcesResponse_CHANGE_ALIVE, nil)
			}
		case change, open := <-watcher.C:
			switch {
			case !open:
				return fault.New(fault.ConnectionProblem, "the watch fell behind; start it again")
			case change.Deleted:
				kind, name := splitKey(change.Item.Key)
				err = send(sallyportv1.WatchResourcesResponse_CHANGE_DELETE, &sallyportv1.Resource{Kind: kind, Name: name})
			default:
				err = a.sendItem(change.Item, send)
			}
			// A lock that hits the watcher itself is the last that it hears: it has sessions to end.
			if kind, _ := splitKey(change.Item.Key); err == nil && kind == resource.KindLock {
				_, err = a.identify(ctx)
			}
		}
		if err != nil {
			return err
		}
	}
}
