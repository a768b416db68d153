package splice

import (
	"errors"
	"io"
	"net"
	"time"
)

// Relay copies between a client and the server that it talks to until the server has ended its direction,
// passing the client's half-close on, or until the client is gone: nothing more goes to a server that has said
// its last. It returns the first failure of each direction and closes neither side.
func Relay(client, server Conn) error {
	done := make(chan error, 1)
	go func() {
		_, err := copyBuffered(client, server)
		_ = client.CloseWrite()
		_ = client.SetReadDeadline(time.Unix(1, 0))
		done <- err
	}()
	_, err := copyBuffered(server, client)
	_ = server.CloseWrite()
	if err != nil { // nobody is there to read what the server still says
		_ = server.SetReadDeadline(time.Unix(1, 0))
	}
	return errors.Join(Failure(<-done), Failure(err))
}

// Failure returns the error, or nil if it only says that a connection has ended: closed by either side,
// reset, or at its deadline.
func Failure(err error) error {
	if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
		return nil
	}
	if isGone(err) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
