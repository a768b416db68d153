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
	err   error
}

// ask makes the looks, some at the same time, and returns their results in the same order.
func ask(ctx context.Context, finder Finder, looks []Look) []result {
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
			results[i] = result{look, found, err}
		})
	}
	asking.Wait()
	return results
}
