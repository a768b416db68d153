package localproxy

import (
	"fmt"
	"net"

	"sallyport/internal/fault"
)

const maxCommand = 16 << 10

// refuseRedis answers the client's first command with an error.
func refuseRedis(client net.Conn, cause error) error {
	if _, err := client.Read(make([]byte, maxCommand)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(client, "-ERR %s\r\n", fault.Message(cause))
	return err
}
