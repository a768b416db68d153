package localproxy

import (
	"net"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
)

// refuse tells a client, in its own protocol, why it cannot be served.
func (p *Proxy) refuse(client net.Conn, cause error) error {
	switch p.cfg.Protocol {
	case "postgres", "cockroachdb":
		return refusePostgres(client, cause)
	case "mysql":
		return refuseMySQL(client, cause)
	default:
		return nil
	}
}

// refuseMySQL puts an error message in place of the greeting. There is no SQLSTATE in it before the handshake.
func refuseMySQL(client net.Conn, cause error) error {
	const unknown = 1105 // ER_UNKNOWN_ERROR
	if err := client.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	_, err := client.Write(mysqlwire.ErrorPacket(0, unknown, "", fault.Message(cause)))
	return err
}
