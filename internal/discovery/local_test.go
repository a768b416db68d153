package discovery_test

import (
	"errors"
	"testing"
)

func TestAnAgentsOwnLooksKeepWhatTheyCannotSee(t *testing.T) {
	t.Parallel()
	c := &clouds{t: t, seen: map[string][]string{}, fails: map[string]error{}}
	c.see("rds us-west-1: a=1 b=1", "redshift us-west-1: c=1")
	becomes := c.local(matcher("rds redshift", "us-west-1"))
	becomes("found", "a=1", "b=1", "c=1")
	c.fail("rds us-west-1", errors.New("throttled"))
	c.see("rds us-west-1: a=2", "redshift us-west-1: d=1")
	becomes("one look fails", "a=1", "b=1", "d=1")
	c.fail("rds us-west-1", partly{})
	becomes("a part is seen", "a=1", "d=1")
	c.fail("rds us-west-1", nil)
	becomes("it works again", "a=2", "d=1")
}
