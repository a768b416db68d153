// Command bare is a relay that does nothing but copy, as the floor with which the engines are compared. It accepts plain
// connections, or TLS to which it brings MariaDB's, and it opens TLS.
package main

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"

	"sallyport/internal/mysqlwire"
	"sallyport/internal/splice"
	"sallyport/internal/timerslack"
)

func main() {
	timerslack.Raise() // as the programs with which it is compared
	port := flag.String("port", "", "where it listens on loopback")
	to := flag.String("to", "", "port on loopback to which it connects")
	mysql := flag.Bool("mysql", false, "accept TLS, and speak to a server of MySQL; otherwise accept plain connections, and open TLS")
	cert := flag.String("cert", "", "certificate, for both sides")
	key := flag.String("key", "", "its key")
	flag.Parse()
	fmt.Fprintln(os.Stderr, "bare:", run(*port, *to, *mysql, *cert, *key))
	os.Exit(1)
}

// run relays until something goes wrong.
func run(port, to string, mysql bool, cert, key string) error {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return err
	}
	// Whom it talks to does not matter here, only what that costs.
	config := &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer client.Close()
			server, err := net.Dial("tcp", "127.0.0.1:"+to)
			if err != nil {
				fmt.Fprintln(os.Stderr, "bare:", err)
				return
			}
			defer server.Close()
			if mysql {
				err = relayMySQL(tls.Server(client, config), server, config)
			} else {
				err = splice.Relay(client.(*net.TCPConn), tls.Client(server, config))
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "bare:", err)
			}
		}()
	}
}

const maxLogin = 1 << 10

// relayMySQL puts a request for TLS into the login of a client that makes none, and then copies.
func relayMySQL(client *tls.Conn, server net.Conn, config *tls.Config) error {
	greeting, _, err := mysqlwire.ReadPacket(server, maxLogin)
	if err != nil {
		return err
	}
	if _, err := client.Write(mysqlwire.AppendPacket(nil, 0, greeting)); err != nil {
		return err
	}
	login, _, err := mysqlwire.ReadPacket(client, maxLogin)
	if err != nil {
		return err
	}
	const head = 32 // of a login, which by itself asks for TLS
	if len(login) < head {
		return errors.New("a short login")
	}
	binary.LittleEndian.PutUint32(login, binary.LittleEndian.Uint32(login)|uint32(mysqlwire.TLS))
	if _, err := server.Write(mysqlwire.AppendPacket(nil, 1, login[:head])); err != nil {
		return err
	}
	secure := tls.Client(server, config)
	if _, err := secure.Write(mysqlwire.AppendPacket(nil, 2, login)); err != nil {
		return err
	}
	welcome, _, err := mysqlwire.ReadPacket(secure, maxLogin)
	if err != nil {
		return err
	}
	if _, err := client.Write(mysqlwire.AppendPacket(nil, 2, welcome)); err != nil {
		return err
	}
	return splice.Relay(client, secure)
}
