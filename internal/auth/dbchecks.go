package auth

import (
	"slices"
	"sync"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
)

const (
	maxChecks = 20 // that are under way
	checkCert = time.Minute
)

// checks are the ways to databases that agents are asked to walk. They live in memory: the administrator waits for
// the answer. The zero value is ready for use.
type checks struct {
	mu        sync.Mutex
	following map[string][]chan *sallyportv1.DatabaseCheck // by host id, the newest last; guarded by mu
	pending   map[string]*pendingCheck                     // by id; guarded by mu
}

// pendingCheck is a check that was not answered yet.
type pendingCheck struct {
	*sallyportv1.DatabaseCheck
	host     string
	protocol string
	answer   chan []*sallyportv1.CheckStep // of capacity one
}

// follow makes a host one that can be asked, until leave is called.
func (c *checks) follow(host string) (asked <-chan *sallyportv1.DatabaseCheck, leave func()) {
	ch := make(chan *sallyportv1.DatabaseCheck, maxChecks)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.following == nil {
		c.following = make(map[string][]chan *sallyportv1.DatabaseCheck)
	}
	c.following[host] = append(c.following[host], ch)
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		left := slices.DeleteFunc(c.following[host], func(other chan *sallyportv1.DatabaseCheck) bool { return other == ch })
		if c.following[host] = left; len(left) == 0 {
			delete(c.following, host)
		}
	}
}

func (c *checks) follows(host string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.following[host]) > 0
}

// begin makes a check known, so that its agent may act on it. The caller ends it.
func (c *checks) begin(p *pendingCheck) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) >= maxChecks {
		return fault.New(fault.LimitExceeded, "%d checks are under way; wait for one to end and try again", maxChecks)
	}
	if c.pending == nil {
		c.pending = make(map[string]*pendingCheck)
	}
	c.pending[p.GetId()] = p
	return nil
}

func (c *checks) end(p *pendingCheck) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, p.GetId())
}

// ask hands a check to its agent and reports whether there was one to take it.
func (c *checks) ask(p *pendingCheck) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	streams := c.following[p.host]
	if len(streams) == 0 {
		return false
	}
	select {
	case streams[len(streams)-1] <- p.DatabaseCheck:
		return true
	default:
		return false
	}
}

// of returns the check of an id that a host is making.
func (c *checks) of(host, id string) (*pendingCheck, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pending[id]
	if p == nil || p.host != host {
		return nil, fault.New(fault.AccessDenied, "there is no such check for this agent to make")
	}
	return p, nil
}

// forCheck returns what is to be recorded of a client certificate for a check, if the host is making one that needs it.
func (a *Authority) forCheck(host string, req *sallyportv1.SignDatabaseClientCertificateRequest) (*audit.CertificateCreate, error) {
	p, err := a.checks.of(host, req.GetCheckId())
	if err != nil {
		return nil, err
	}
	if p.GetDatabaseService() != req.GetDatabaseService() || p.GetDatabaseUser() != req.GetDatabaseUser() {
		return nil, fault.New(fault.AccessDenied, "the check is of another database or account")
	}
	return &audit.CertificateCreate{CertType: "db_client", Identity: audit.CertificateIdentity{
		User: p.GetUser(), Cluster: a.cluster, Expires: a.Now().Add(checkCert),
		Route: audit.DatabaseRoute{ServiceName: p.GetDatabaseService(), Protocol: p.protocol, Username: p.GetDatabaseUser()},
	}}, nil
}
