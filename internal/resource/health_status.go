package resource

import "time"

// TargetHealth is how an agent finds a database.
type TargetHealth struct {
	Address             string     `json:"address,omitempty"`  // host:port, several separated by commas
	Protocol            string     `json:"protocol,omitempty"` // TCP, or TLS when a handshake is part of the check
	Status              string     `json:"status,omitempty"`
	TransitionTimestamp *time.Time `json:"transition_timestamp,omitempty"` // since when it has the status
	TransitionReason    string     `json:"transition_reason,omitempty"`
	TransitionError     string     `json:"transition_error,omitempty"` // of the check that led to the status
	Message             string     `json:"message,omitempty"`          // for people
}

// Statuses of databases.
const (
	Healthy       = "healthy"
	Unhealthy     = "unhealthy"
	HealthUnknown = "unknown"
)

// Reasons for a status.
const (
	HealthThresholdReached = "threshold_reached" // so many checks in a row have passed, or failed
	HealthInitialized      = "initialized"       // checks have begun
	HealthDisabled         = "disabled"          // no config matches the database
	HealthInternalError    = "internal_error"    // the agent could not make a check
)

// Checks of databases.
const (
	HealthTCP = "TCP"
	HealthTLS = "TLS"
)

// HealthStatuses returns all statuses, best first.
func HealthStatuses() []string { return []string{Healthy, HealthUnknown, Unhealthy} }

// Rank orders the health of one database at several agents: 0 is where users are led to first, 2 last.
func (h *TargetHealth) Rank() int {
	switch h.Status {
	case Healthy:
		return 0
	case Unhealthy:
		return 2
	default: // also of an agent that does not tell
		return 1
	}
}

// ShownStatus is the status for people and programs; an agent that tells none does not know.
func (h *TargetHealth) ShownStatus() string { return HealthStatuses()[h.Rank()] }

const maxHealthText = 8 << 10

func (h *TargetHealth) check(p *problems, path string) {
	if *h == (TargetHealth{}) {
		return
	}
	checkOneOf(p, path+".status", h.Status, HealthStatuses()...)
	checkOneOf(p, path+".transition_reason", h.TransitionReason, HealthThresholdReached, HealthInitialized, HealthDisabled, HealthInternalError)
	for _, one := range []struct{ key, text string }{
		{"address", h.Address}, {"protocol", h.Protocol}, {"transition_error", h.TransitionError}, {"message", h.Message},
	} {
		if len(one.text) > maxHealthText {
			p.add(path+"."+one.key, "is longer than %d bytes", maxHealthText)
		}
		checkProse(p, path+"."+one.key, one.text)
	}
}
