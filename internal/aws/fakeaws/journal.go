package fakeaws

import (
	"slices"
	"time"

	"sallyport/internal/aws/fakeaws/iam"
)

// Entry is one call in the journal: of an API, of the instance metadata, or a login judged by the verifier.
type Entry struct {
	Time      time.Time
	Service   string // sts, rds, imds, container, rds-db …
	Operation string
	Principal string // ARN; "" when anonymous or not recognised
	AccessKey string
	Region    string
	Host      string            // the request's Host header
	Checks    []Check           // permissions asked for, in order
	Notes     map[string]string // parameters that matter
	Error     string            // code of the error answered; "" when all went well
	Message   string            // its text
	Injected  bool              // the error or delay is a fault injected
}

// Check is one permission asked for.
type Check struct {
	Action, Resource string
	Allowed          bool
	Explicit         bool   // a Deny statement decided
	Layer            string // which sort of policy decided
	Statement        string // which statement decided
}

// Journal lists all entries so far, oldest first.
func (w *World) Journal() []Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.journal)
}

// ForgetJournal empties the journal, so that a test looks only at what follows.
func (w *World) ForgetJournal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.journal = nil
}

// Calls lists the entries of one operation of a service; operation "" means all of them.
func (w *World) Calls(service, operation string) []Entry {
	var found []Entry
	for _, e := range w.Journal() {
		if e.Service == service && (operation == "" || e.Operation == operation) {
			found = append(found, e)
		}
	}
	return found
}

func (e *Entry) check(action, resource string, d iam.Decision) {
	e.Checks = append(e.Checks, Check{action, resource, d.Allowed, d.Explicit, string(d.Layer), d.Statement})
}

func (w *World) record(e Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.journal = append(w.journal, e)
}
