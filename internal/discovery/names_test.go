package discovery_test

import (
	"errors"
	"testing"
)

// TestNamesDoNotChangeHands has somebody give a database the name of another, which another look finds, by a tag.
func TestNamesDoNotChangeHands(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1", "rds eu-west-1: orders=right")
	c.start("one", matcher("rds", "us-west-1 eu-west-1"))
	c.becomes("found", "a=1", "orders=right")
	c.see("rds us-west-1: a=1 orders=wrong", "rds eu-west-1: orders=right")
	c.stays("another of that name, found by an earlier look", 2, "a=1", "orders=right")
	c.fail("rds eu-west-1", errors.New("throttled"))
	c.see("rds us-west-1: a=1 orders=wrong")
	c.stays("the one that has the name cannot be seen", 2, "a=1", "orders=right")
	if n := c.logged("is passed over"); n != 1 {
		t.Errorf("told %d times", n)
	}
	c.fail("rds eu-west-1", nil)
	c.becomes("the one that had the name is gone", "a=1", "orders=wrong")
}

func TestNamesInAnAgentsOwnLooksDoNotChangeHands(t *testing.T) {
	t.Parallel()
	c := &clouds{t: t, seen: map[string][]string{}, fails: map[string]error{}}
	c.see("rds us-west-1: a=1", "rds eu-west-1: orders=right")
	becomes := c.local(matcher("rds", "us-west-1 eu-west-1"))
	becomes("found", "a=1", "orders=right")
	c.see("rds us-west-1: a=2 orders=wrong", "rds eu-west-1: orders=right")
	becomes("another of that name", "a=2", "orders=right")
	c.see("rds us-west-1: a=3 orders=wrong")
	becomes("the one that had the name is gone", "a=3", "orders=wrong")
}
