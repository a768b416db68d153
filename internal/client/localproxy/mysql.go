package localproxy

import (
	"net"

	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
)

// refuseMySQL puts an error message in place of the greeting. There is no SQLSTATE in it before the handshake.
func refuseMySQL(client net.Conn, cause error) error {
	const unknown = 1105 // ER_UNKNOWN_ERROR
	_, err := client.Write(mysqlwire.ErrorPacket(0, unknown, "", fault.Message(cause)))
	return err
}
