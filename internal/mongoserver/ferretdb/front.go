package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"slices"

	"github.com/FerretDB/wire/wirebson"
)

// atOnce is the collection, in any database, in which every find is answered here, with one document: what there is to
// measure then is the way to a server and not the server. Its name has seven letters.
const atOnce = "at_once"

var found = wirebson.MustDocument("cursor", wirebson.MustDocument(
	"firstBatch", wirebson.MustArray(wirebson.MustDocument("_id", "item-000017", "name", "item 17", "total", 4.25)),
	"id", int64(0), "ns", "bench."+atOnce), "ok", float64(1))

// front stands before FerretDB.
type front struct {
	address, certFile, keyFile, caFile string
	accounts                           []string
	socket                             string // of FerretDB
}

func (f *front) serve(ctx context.Context) error {
	cert, err := tls.LoadX509KeyPair(f.certFile, f.keyFile)
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(f.caFile)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", f.caFile)
	}
	listener, err := tls.Listen("tcp", f.address, &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			_ = f.carry(conn.(*tls.Conn))
		}()
	}
}

const (
	opQuery    = 2004
	opMsg      = 2013
	headerSize = 16
	maxMessage = 48_000_000
	firstKey   = headerSize + 4 + 1 + 4 + 1 // flags, kind of section, length of the document, type of the element
)

// carry serves one client. Messages of the login are answered here, all others by FerretDB.
func (f *front) carry(client *tls.Conn) error {
	if err := client.Handshake(); err != nil {
		return err
	}
	server, err := net.Dial("unix", f.socket)
	if err != nil {
		return err
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	known := false
	findAtOnce := []byte("find\x00\x08\x00\x00\x00" + atOnce + "\x00")
	for {
		message, err := read(client)
		if err != nil {
			return err
		}
		var answer *wirebson.Document
		switch name := commandOf(message); {
		case name == "authenticate":
			if known = f.knows(client); known {
				answer = wirebson.MustDocument("dbname", "$external", "user", account(client), "ok", float64(1))
			} else {
				answer = refusal(18, "AuthenticationFailed", "Authentication failed.")
			}
		case !known && name != "hello" && name != "isMaster" && name != "ismaster":
			answer = refusal(13, "Unauthorized", "command "+name+" requires authentication")
		case bytes.HasPrefix(message[min(firstKey, len(message)):], findAtOnce):
			answer = found
		}
		if answer != nil {
			err = reply(client, message, answer)
		} else {
			_, err = server.Write(message)
		}
		if err != nil {
			return err
		}
	}
}

func account(client *tls.Conn) string {
	return "CN=" + client.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func (f *front) knows(client *tls.Conn) bool {
	return slices.ContainsFunc(f.accounts, func(name string) bool { return account(client) == "CN="+name })
}

func read(r io.Reader) ([]byte, error) {
	message := make([]byte, headerSize)
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(message)
	if size < headerSize || size > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", size)
	}
	message = append(message, make([]byte, size-headerSize)...)
	_, err := io.ReadFull(r, message[headerSize:])
	return message, err
}

// commandOf returns the name of the command in an OP_MSG whose body comes first, as in all drivers. In an OP_QUERY FerretDB
// takes nothing but a hello.
func commandOf(message []byte) string {
	if binary.LittleEndian.Uint32(message[12:]) == opQuery {
		return "isMaster"
	}
	if binary.LittleEndian.Uint32(message[12:]) != opMsg || len(message) < firstKey || message[headerSize+4] != 0 {
		return ""
	}
	name, _, _ := bytes.Cut(message[firstKey:], []byte{0})
	return string(name)
}

func refusal(code int32, name, text string) *wirebson.Document {
	return wirebson.MustDocument("ok", float64(0), "errmsg", text, "code", code, "codeName", name)
}

func reply(w io.Writer, to []byte, doc *wirebson.Document) error {
	body, err := doc.Encode()
	if err != nil {
		return err
	}
	message := binary.LittleEndian.AppendUint32(nil, uint32(headerSize+5+len(body)))
	message = binary.LittleEndian.AppendUint32(message, 1)
	message = append(message, to[4:8]...)
	message = binary.LittleEndian.AppendUint32(message, opMsg)
	message = append(message, 0, 0, 0, 0, 0)
	_, err = w.Write(append(message, body...))
	return err
}
