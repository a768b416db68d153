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
	switch p.cfg.Protocol {
	case resource.ProtocolRedis, resource.ProtocolMongoDB:
		inner, err := p.handshake(ctx, client)
		return inner, nil, err
	default:
		return p.startPostgresTLS(ctx, client)
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

// refuse tells a client, in its own protocol, why it cannot be served.
func (p *Proxy) refuse(client net.Conn, cause error) error {
	if err := client.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	switch p.cfg.Protocol {
	case resource.ProtocolMySQL:
		return refuseMySQL(client, cause)
	case resource.ProtocolMongoDB:
		return refuseMongoDB(client, cause)
	case resource.ProtocolRedis:
		return refuseRedis(client, cause)
	default:
		return refusePostgres(client, cause)
	}
}
