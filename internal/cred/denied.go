package cred

import "sallyport/internal/fault"

// Denied is the error of a Source to which auth has said that the user may not have the account: that is the user's matter, as if the
// rules of the agent had refused it, and no trouble on the way to the database.
type Denied struct{ cause error }

// Error returns what the user is told, once.
func (d *Denied) Error() string { return fault.Message(d.cause) }

// Unwrap returns auth's answer, with its kind.
func (d *Denied) Unwrap() error { return d.cause }
