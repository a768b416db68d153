package localproxy

import (
	"errors"
	"io"
	"net"

	"sallyport/internal/fault"
	"sallyport/internal/mongowire"
)

// refuseMongoDB answers the first message of a client, which is its hello.
func refuseMongoDB(client net.Conn, cause error) error {
	const (
		maxFirst    = 64 << 10
		unreachable = 6 // HostUnreachable
	)
	header := make([]byte, mongowire.HeaderSize)
	if _, err := io.ReadFull(client, header); err != nil {
		return err
	}
	h := mongowire.ReadHeader(header)
	if h.Size < mongowire.HeaderSize || h.Size > maxFirst {
		return errors.New("the client does not speak MongoDB's protocol")
	}
	if _, err := io.CopyN(io.Discard, client, int64(h.Size)-mongowire.HeaderSize); err != nil {
		return err
	}
	_, err := client.Write(mongowire.Failure{Code: unreachable, Name: "HostUnreachable", Text: fault.Message(cause)}.Append(nil, h))
	return err
}
