package fakeaws

import "time"

// Target is a data-plane server whose logins the verifier judges.
type Target struct {
	Host string
}

type issuedPassword struct {
	user, database, password string
	expires                  time.Time
}
