package dataplane

import (
	"context"
	"io"
	"net"
	"sync"
)

// relay copies both ways until one side ends, then closes the database's side. The client's belongs to the caller.
func relay(ctx context.Context, client, database net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = database.Close() }) // ends the copying
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	end := sync.OnceFunc(func() {
		_ = client.Close() // both ends of a connection that is over
		_ = database.Close()
	})
	wg.Go(func() {
		defer end()
		_, _ = io.Copy(database, client) // an error is an end like any other
	})
	defer end()
	_, _ = io.Copy(client, database)
}
