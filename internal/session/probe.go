package session

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"sallyport/internal/cred"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// Names of steps that Probe tells of.
const (
	StepName    = "name"
	StepConnect = "connection"
	StepTLS     = "TLS"
	StepLogin   = "login"
	StepServer  = "server"
)

const (
	resolveTimeout = 5 * time.Second
	soon           = 14 * 24 * time.Hour
)

// ProbeConfig is what a Probe is made of. All fields must be set unless stated.
type ProbeConfig struct {
	// Request is for whom the check is. Its Check is the id under which the auth server has recorded it.
	Request     cred.Request
	Credentials cred.Source
	Resolve     func(ctx context.Context, host string) ([]netip.Addr, error)
	Allow       func(netip.Addr) error // of what a name resolves to; nil allows everything
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)
	Now         func() time.Time
}

// Probe is one check of the way to a database: the door for an administrator who wants to know whether it works,
// as Session is the one for users. Nobody but the engine gets the connection, and that sends nothing on it beyond a
// login. What is told is what sessions would be told.
type Probe struct {
	cfg  ProbeConfig
	way  way
	seed string // dialled in place of the URI; empty for that

	mu    sync.Mutex
	steps []cred.Step // guarded by mu
	conn  net.Conn    // guarded by mu
}

// NewProbe returns a probe that has not asked anybody yet. It is refused unless the check is recorded.
func NewProbe(cfg ProbeConfig) (*Probe, error) {
	if cfg.Request.Check == "" || cfg.Request.DatabaseUser == "" {
		return nil, fault.New(fault.BadParameter, "a check needs the id under which it is recorded, and the account to log in with")
	}
	p := &Probe{cfg: cfg, way: way{database: cfg.Request.Database, dialer: cfg.Dial}}
	p.way.shaken = p.tellTLS
	return p, nil
}

// Database returns the database. It must not be changed.
func (p *Probe) Database() *resource.Database { return p.cfg.Request.Database }

// DatabaseName returns the logical database to log in to.
func (p *Probe) DatabaseName() string { return p.cfg.Request.DatabaseName }

// At has the probe go to an address, host:port, where the URI of the database is none. It is called before Open.
func (p *Probe) At(address string) { p.seed = address }

// Tell adds a step to what was found. Safe for concurrent use.
func (p *Probe) Tell(step cred.Step) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps = append(p.steps, step)
}

// Result returns how the last step of the name went.
func (p *Probe) Result(name string) cred.Result {
	result := cred.Untold
	for _, step := range p.Steps() {
		if step.Name == name {
			result = step.Result
		}
	}
	return result
}

// Steps returns what was found so far, in order. The caller owns the list.
func (p *Probe) Steps() []cred.Step {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]cred.Step(nil), p.steps...)
}

// Close closes the connection to the database.
func (p *Probe) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		_ = p.conn.Close()
	}
}

// Open resolves and dials the database and gets a credential, and tells of each step. Otherwise is the logical
// database where the check names none. With an error it returns a way on which no more than a TLS handshake is of
// use, or nil: what can be found without a credential is to be found too.
func (p *Probe) Open(ctx context.Context, otherwise string) (*Upstream, error) {
	if p.cfg.Request.DatabaseName == "" {
		p.cfg.Request.DatabaseName = otherwise
	}
	conn, dialErr := p.reach(ctx)
	credential, err := cred.Walk(ctx, p.cfg.Credentials, p.cfg.Request, p.Tell)
	err = errors.Join(dialErr, err)
	if conn == nil || credential == nil {
		return nil, err
	}
	dialled := p.way.address
	if useErr := p.way.use(credential, dialled); useErr != nil {
		p.Tell(cred.Failure("credential", useErr))
		return nil, errors.Join(err, useErr)
	}
	if p.way.address != dialled {
		return nil, errors.Join(err, errors.New("the credential is for another address than the database's"))
	}
	return p.way.upstream(conn, credential), err
}

// reach resolves the name of the database and dials it.
func (p *Probe) reach(ctx context.Context) (net.Conn, error) {
	if err := p.resolve(ctx); err != nil {
		p.Tell(cred.Failure(StepName, err))
		return nil, err
	}
	began := p.cfg.Now()
	conn, err := p.way.dial(ctx)
	if err != nil {
		p.Tell(cred.Failure(StepConnect, err))
		return nil, err
	}
	p.Tell(cred.Passing(StepConnect, "%s accepts connections (%s)", conn.RemoteAddr(), p.cfg.Now().Sub(began).Round(time.Millisecond)))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = conn
	return conn, nil
}

// resolve finds out the address that sessions dial, and what its name stands for.
func (p *Probe) resolve(ctx context.Context) error {
	db := p.Database()
	p.way.address = cmp.Or(p.seed, db.Spec.URI)
	if db.InAWS() {
		e, err := db.AWSEndpoint()
		if err != nil {
			return fault.Wrap(fault.BadParameter, err, "the uri %q does not do: %s; write the endpoint as AWS shows it, because credentials are valid for that name only", db.Spec.URI, err)
		}
		p.way.address = e.Address()
	}
	host, _, err := net.SplitHostPort(p.way.address)
	if err != nil {
		return fault.Wrap(fault.BadParameter, err, "the uri %q is not host:port; correct it", db.Spec.URI)
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addresses, err := p.cfg.Resolve(ctx, host)
	if err != nil {
		return p.way.explainDial(err)
	}
	texts := make([]string, len(addresses))
	for i, address := range addresses {
		texts[i] = address.Unmap().String()
		if p.cfg.Allow == nil {
			continue
		}
		if err := p.cfg.Allow(address.Unmap()); err != nil {
			return fault.Wrap(fault.AccessDenied, err, "%s resolves to %s, where the agent does not connect: %s; check what the name of the database resolves to", host, address, err)
		}
	}
	p.Tell(cred.Passing(StepName, "%s resolves to %s", host, strings.Join(texts, ", ")))
	return nil
}

// tellTLS tells what certificate the database showed, and whether it will do.
func (p *Probe) tellTLS(conn *tls.Conn, err error) {
	state := conn.ConnectionState()
	if err != nil {
		step := cred.Failure(StepTLS, err)
		if cert := shownIn(err); cert != nil {
			step.Advice = "the database showed " + describe(cert)
		}
		p.Tell(step)
		return
	}
	cert := state.PeerCertificates[0]
	step := cred.Passing(StepTLS, "%s, %s", tls.VersionName(state.Version), describe(cert))
	switch mode := p.Database().Spec.TLS.Mode; {
	case mode == resource.TLSInsecure:
		step.Result, step.Advice = cred.Doubtful, "tls.mode is insecure, so nothing of the certificate was verified; set it to verify-full"
	case p.cfg.Now().Add(soon).After(cert.NotAfter):
		step.Result, step.Advice = cred.Doubtful, "the certificate ends soon; renew it"
	}
	p.Tell(step)
}

// shownIn returns the certificate that an error of the verification is about, or nil.
func shownIn(err error) *x509.Certificate {
	if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(unverified.UnverifiedCertificates) > 0 {
		return unverified.UnverifiedCertificates[0]
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok { // of verify-ca
		return unknown.Cert
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return invalid.Cert
	}
	return nil
}

func describe(cert *x509.Certificate) string {
	names := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	const most = 5
	if len(names) > most {
		names = append(names[:most], "…")
	}
	shown := "no names"
	if len(names) > 0 {
		shown = "for " + strings.Trim(strconv.Quote(strings.Join(names, ", ")), `"`)
	}
	return "certificate of " + strconv.Quote(cert.Subject.String()) + ", " + shown + ", issued by " + strconv.Quote(cert.Issuer.String()) +
		", valid until " + cert.NotAfter.UTC().Format(time.RFC3339)
}
