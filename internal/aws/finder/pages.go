package finder

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"sallyport/internal/fault"
)

// callTimeout is for one call, with its repetitions.
const callTimeout = time.Minute

// call runs one call.
func call(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return do(ctx)
}

// maxPages is of one list: several times what the largest accounts have. A list without an end must not fill the memory.
const maxPages = 1000

// pages reads a list to its end. A token that AWS gives twice, and a list without an end, are errors, since what was read is
// not complete.
func pages[T any](ctx context.Context, page func(ctx context.Context, token *string) (items []T, next *string, err error)) ([]T, error) {
	var all []T
	var token *string
	given := map[string]bool{}
	for {
		err := call(ctx, func(ctx context.Context) error {
			items, next, err := page(ctx, token)
			all, token = append(all, items...), next
			return err
		})
		switch next := aws.ToString(token); {
		case err != nil:
			return nil, err
		case next == "":
			return all, nil
		case len(given) == maxPages:
			return nil, fault.New(fault.LimitExceeded, "AWS gives more than %d pages of a list; databases stay as they are: narrow down what the role may list, or look with several roles", maxPages)
		case given[next]:
			return nil, fault.New(fault.ConnectionProblem, "AWS gave the same page of a list twice; databases stay as they are until a list is complete")
		default:
			given[next] = true
		}
	}
}

// byEngine reads a list that is narrowed to engines. A region that lacks one of them refuses the whole call; there, each
// engine is asked for by itself.
func byEngine[T any](engines []string, list func(engines ...string) ([]T, error)) ([]T, error) {
	all, err := list(engines...)
	if !unknownEngine(err) {
		return all, err
	}
	all = nil
	for _, engine := range engines {
		some, err := list(engine)
		if unknownEngine(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// unknownEngine recognises how RDS refuses a filter by an engine that a region does not have.
func unknownEngine(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && strings.Contains(strings.ToLower(api.ErrorMessage()), "unrecognized engine name")
}
