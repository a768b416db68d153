package localproxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"sallyport/internal/resource"
	"sallyport/internal/splice"
)

// startTLS ends the client's TLS. In PostgreSQL's protocol it may return a cancel request instead.
func (p *Proxy) startTLS(ctx context.Context, client net.Conn) (splice.Conn, []byte, error) {
	if err := client.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, nil, err
	}
	switch resource.ProtocolNamed(p.cfg.Protocol).TLS {
	case resource.TLSFirst:
		inner, err := p.handshake(ctx, client)
		return inner, nil, err
	case resource.TLSByRequest:
		return p.startPostgresTLS(ctx, client)
	default:
		return nil, nil, fmt.Errorf("no client of %q uses TLS with a local proxy", p.cfg.Protocol)
	}
}

// handshake ends TLS that begins with the connection's next byte.
func (p *Proxy) handshake(ctx context.Context, client net.Conn) (splice.Conn, error) {
	inner := tls.Server(client, p.cfg.Local)
	if err := inner.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("client's TLS: %w", err)
	}
	return inner, client.SetDeadline(time.Time{})
}

// refusalOf returns what tells a client, in its own protocol, why it cannot be served; nil for a protocol that is not known here.
func refusalOf(protocol string) func(client net.Conn, cause error) error {
	switch protocol {
	case resource.ProtocolPostgres:
		return refusePostgres
	case resource.ProtocolMySQL:
		return refuseMySQL
	case resource.ProtocolMongoDB:
		return refuseMongoDB
	case resource.ProtocolRedis:
		return refuseRedis
	default:
		return nil
	}
}

func (p *Proxy) refuse(client net.Conn, cause error) error {
	if err := client.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	return refusalOf(p.cfg.Protocol)(client, cause)
}
