// Package detour reaches a proxy that stands behind a balancer which ends TLS: the connection that would have come
// to the proxy's port, TLS with its server name and protocols included, runs inside a WebSocket over HTTPS.
//
// The balancer sees what it would see on the way of a direct connection: the TLS inside ends where it always does,
// at auth, an agent or the proxy, and is checked as always.
package detour

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"sallyport/internal/fault"
	"sallyport/internal/identity"
)

// Variable is the environment variable that says whether to make detours; see ParseMode.
const Variable = "TELEPORT_TLS_ROUTING_CONN_UPGRADE"

// Mode says when a Dialer makes detours.
type Mode int

// The modes.
const (
	WhenNeeded Mode = iota // where a direct connection shows that something else ends its TLS
	Always                 // wherever one can be made
	Never
)

// ParseMode reads the value of Variable.
func ParseMode(text string) (Mode, error) {
	switch strings.ToLower(text) {
	case "":
		return WhenNeeded, nil
	case "yes", "true", "on", "1":
		return Always, nil
	case "no", "false", "off", "0":
		return Never, nil
	}
	return 0, fault.New(fault.BadParameter, "%s=%q: set it to yes or no, or leave it unset to have that found out", Variable, text)
}

// Config is what a Dialer is made of. All fields must be set unless stated.
type Config struct {
	// TCP opens a connection to an address, host:port.
	TCP func(ctx context.Context, address string) (net.Conn, error)
	// Web returns the TLS with whatever ends it at a host. It must offer HTTP/1.1 alone.
	Web  func(host string) *tls.Config
	Mode Mode // default: WhenNeeded
	Now  func() time.Time
}

// Dialer opens connections to proxies, and to auth servers, which need no detour. Safe for concurrent use.
type Dialer struct {
	cfg Config

	mu   sync.Mutex
	ways map[string]way // that worked, by address; guarded by mu
}

type way struct {
	detour bool
	until  time.Time // when the other way may be tried first
}

// New returns a dialer.
func New(cfg Config) *Dialer { return &Dialer{cfg: cfg, ways: make(map[string]way)} }

const (
	remembered = 30 * time.Minute
	openTime   = 15 * time.Second
)

// DialTLS opens TLS as the configuration says to the address, by a detour if that is what it takes.
func (d *Dialer) DialTLS(ctx context.Context, address string, cfg *tls.Config) (*tls.Conn, error) {
	var failed error
	if d.detourFirst(address) {
		raw, err := d.open(ctx, address)
		if err == nil {
			return handshake(ctx, raw, cfg)
		}
		failed = err
	}
	raw, err := d.cfg.TCP(ctx, address)
	if err != nil {
		return nil, err
	}
	conn, direct := handshake(ctx, raw, cfg)
	switch {
	case direct == nil:
		d.learn(address, false)
		return conn, nil
	case d.cfg.Mode == Never || failed == nil && !endedElsewhere(direct):
		return nil, direct
	case failed == nil:
		var detour *Conn
		if detour, failed = d.open(ctx, address); failed == nil {
			if conn, err = handshake(ctx, detour, cfg); err == nil {
				d.learn(address, true)
			}
			return conn, err
		}
	}
	return nil, fmt.Errorf("something other than the cluster seems to end TLS at %s (%w), and a detour through it fails: %w", address, direct, failed)
}

// To returns DialTLS for one address.
func (d *Dialer) To(address string) func(ctx context.Context, cfg *tls.Config) (*tls.Conn, error) {
	return func(ctx context.Context, cfg *tls.Config) (*tls.Conn, error) { return d.DialTLS(ctx, address, cfg) }
}

// Dial opens a connection on which something other than TLS is said first, by the way that TLS with the address
// took last.
func (d *Dialer) Dial(ctx context.Context, address string) (net.Conn, error) {
	if !d.Detours(address) {
		return d.cfg.TCP(ctx, address)
	}
	conn, err := d.open(ctx, address)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// Detours reports whether connections to the address take a detour, as far as is known.
func (d *Dialer) Detours(address string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	known, ok := d.ways[address]
	return known.detour || !ok && d.cfg.Mode == Always
}

// Remember takes it as learned that the address needs a detour.
func (d *Dialer) Remember(address string) {
	if d.cfg.Mode != Never {
		d.learn(address, true)
	}
}

// detourFirst reports whether a detour is tried before a direct connection.
func (d *Dialer) detourFirst(address string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.ways[address]; known.until.After(d.cfg.Now()) {
		return known.detour
	}
	return d.cfg.Mode == Always
}

func (d *Dialer) learn(address string, detour bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ways[address] = way{detour, d.cfg.Now().Add(remembered)}
}

// handshake does TLS on the connection, which it owns. An error is a *handshakeError.
func handshake(ctx context.Context, raw net.Conn, cfg *tls.Config) (*tls.Conn, error) {
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, &handshakeError{err, conn.ConnectionState()}
	}
	return conn, nil
}

// handshakeError is a failed handshake, with what is known of the other side.
type handshakeError struct {
	error
	state tls.ConnectionState
}

func (e *handshakeError) Unwrap() error { return e.error }

// endedElsewhere reports whether a handshake failed because something in front of the cluster took part in it:
// what answered has a certificate and is not of a cluster, or did not want to hear of our names. A certificate of
// a cluster that is not good enough is no reason for a detour.
func endedElsewhere(err error) bool {
	failed, ok := errors.AsType[*handshakeError](err)
	if !ok {
		return false
	}
	chain := failed.state.PeerCertificates
	if refused, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		chain = refused.UnverifiedCertificates
	}
	if len(chain) == 0 {
		return isRefusal(err)
	}
	if strings.HasPrefix(failed.state.NegotiatedProtocol, "teleport-") { // balancers know none of these
		return false
	}
	_, err = identity.FromCertificate(chain[0])
	return err != nil
}

// refusals are the alerts of servers that serve other names or protocols (RFC 8446, section 6.2; RFC 7301,
// section 3.2).
var refusals = []tls.AlertError{
	40,  // handshake_failure
	112, // unrecognized_name
	120, // no_application_protocol
}

func isRefusal(err error) bool {
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" { // as crypto/tls tells of alerts that it received; their type is its own
		return false
	}
	for _, alert := range refusals {
		if remote.Err.Error() == alert.Error() {
			return true
		}
	}
	return false
}

// open makes a detour.
func (d *Dialer) open(ctx context.Context, address string) (*Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "%q is not host:port", address)
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	var outer *tls.Conn
	transport := &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			raw, err := d.cfg.TCP(ctx, address)
			if err != nil {
				return nil, err
			}
			outer, err = handshake(ctx, raw, d.cfg.Web(host))
			return outer, err
		},
	}
	ws, response, err := websocket.Dial(ctx, "https://"+address+Path, &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Subprotocols: []string{subprotocol},
	})
	switch {
	case err != nil && response != nil && response.StatusCode != http.StatusSwitchingProtocols:
		return nil, fault.Wrap(fault.ConnectionProblem, err, "%s answered a request for a detour with status %d; check that a proxy of the cluster is behind it, and that it passes WebSockets on", address, response.StatusCode)
	case err != nil:
		return nil, err
	case ws.Subprotocol() != subprotocol:
		_ = ws.CloseNow()
		return nil, fault.New(fault.ConnectionProblem, "what is behind %s opened a WebSocket, but for something else than a detour; check the address", address)
	}
	return newConn(ws, outer.LocalAddr(), outer.RemoteAddr()), nil
}
