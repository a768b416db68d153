package dataplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sallyport/internal/aws/fakeaws"
)

// source is the loopback address from which connections of the n-th endpoint reach the server, so that the server's rules
// can tell the endpoints apart.
func source(n int) string { return fmt.Sprintf("127.77.%d.%d", n/250, n%250+1) }

// startRDS starts the server that clients talk to themselves.
func (p *Plane) startRDS(ctx context.Context, config Config) error {
	server := serverConfig{HBA: []string{"local all all trust"}}
	var err error
	if config.Certificate != nil {
		if server.Certificate, server.Key, err = encodeCertificate(config.Certificate); err != nil {
			return err
		}
	}
	if server.Address, err = freeAddress(); err != nil {
		return err
	}
	method := p.ldapMethod
	if config.Authentication == PAM {
		method = p.pamMethod
	}
	authenticate, env, err := method(ctx, config)
	if err != nil {
		return err
	}
	server.Env = env
	for n := range config.Endpoints {
		server.HBA = append(server.HBA,
			"hostnossl all all "+source(n)+"/32 reject",
			"hostssl all +rds_iam "+source(n)+"/32 "+authenticate(n),
			"hostssl all all "+source(n)+"/32 scram-sha-256")
	}
	running, err := startPostgres(ctx, server)
	if err != nil {
		return err
	}
	p.server = running
	if _, err := running.exec(ctx, "postgres", "CREATE ROLE rds_iam;\n"+config.Setup); err != nil {
		return err
	}
	return p.relayTo(ctx, config.Endpoints, server.Address)
}

// relayTo listens at endpoints whose connections reach the server each from its own source.
func (p *Plane) relayTo(ctx context.Context, endpoints []Endpoint, address string) error {
	for n, endpoint := range endpoints {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source(n))}}
		serve := func(ctx context.Context, client net.Conn) {
			database, err := dialer.DialContext(ctx, "tcp", address)
			if err != nil {
				return // the client sees that the connection ends, as when a server is down
			}
			relay(ctx, client, database)
		}
		if err := p.listen(ctx, endpoint, serve); err != nil {
			return err
		}
	}
	return nil
}

// freeAddress returns an address where a server can listen, and which nobody else is given while this process runs: a socket
// that does not listen stays bound to it, which is in the way of those only that do not set SO_REUSEADDR (socket(7)).
func freeAddress() (string, error) {
	kept, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	at := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(unix.SetsockoptInt(kept, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(kept, at)); err != nil {
		return "", errors.Join(err, unix.Close(kept))
	}
	bound, err := unix.Getsockname(kept)
	if err != nil {
		return "", errors.Join(err, unix.Close(kept))
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(bound.(*unix.SockaddrInet4).Port)), nil
}

// ldapMethod has passwords verified by a simple bind, which carries them byte by byte whatever their length. The name
// tells the endpoint.
func (p *Plane) ldapMethod(ctx context.Context, config Config) (func(int) string, []string, error) {
	listener := Endpoint{Listen: "127.0.0.1:0"}
	allow := func(name, password string) bool {
		number, user, ok := strings.Cut(name, " cn=")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 0 || n >= len(config.Endpoints) {
			return false
		}
		return config.Judge(fakeaws.Login{Service: fakeaws.RDSConnect, Host: config.Endpoints[n].Host, User: user, Token: password}).Allow
	}
	if err := p.listen(ctx, listener, func(_ context.Context, conn net.Conn) { serveLDAP(conn, allow) }); err != nil {
		return nil, nil, err
	}
	_, number, err := net.SplitHostPort(p.addresses[len(p.addresses)-1])
	if err != nil {
		return nil, nil, err
	}
	p.addresses = p.addresses[:len(p.addresses)-1] // it is no endpoint
	return func(n int) string {
		return fmt.Sprintf(`ldap ldapserver=127.0.0.1 ldapport=%s ldapprefix="%d cn=" ldapsuffix=""`, number, n)
	}, nil, nil
}

func encodeCertificate(c *tls.Certificate) (certificate, key []byte, err error) {
	for _, der := range c.Certificate {
		certificate = append(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
