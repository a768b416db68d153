package discovery

import (
	"context"
	"sync"
	"time"

	"sallyport/internal/resource"
)

const (
	atOnce      = 5 // looks that run at the same time
	lookTimeout = 5 * time.Minute
)

// result is what one look found.
type result struct {
	look  Look
	found []*resource.Database
	count int // of databases found
	err   error
	// entries take the place of found as soon as it is certain what is to be registered.
	entries []entry
}

// ask makes the looks, some at the same time, and returns their results in the same order. Each is handed to done as
// soon as it is there, at the same time as others.
func ask(ctx context.Context, finder Finder, looks []Look, done func(*result)) []result {
	results := make([]result, len(looks))
	places := make(chan struct{}, atOnce)
	var asking sync.WaitGroup
	for i, look := range looks {
		asking.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			ctx, cancel := context.WithTimeout(ctx, lookTimeout)
			defer cancel()
			found, err := finder.Find(ctx, look)
			results[i] = result{look: look, found: found, count: len(found), err: err}
			done(&results[i])
		})
	}
	asking.Wait()
	return results
}
