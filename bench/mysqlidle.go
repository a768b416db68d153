package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"sallyport/bench/programs"
	"sallyport/internal/mysqlwire"
)

const maxAnswer = 64 << 10

// idle opens sessions whose one statement was answered, through the local proxy of the processes apart.
func (m mySQL) idle(ctx context.Context, _ way, sessions int) (stop func(), err error) {
	var held []net.Conn
	stop = func() {
		for _, conn := range held {
			_ = conn.Close()
		}
	}
	for range sessions {
		conn, err := (&net.Dialer{Timeout: programs.Patience}).DialContext(ctx, "tcp", "127.0.0.1:"+m.tunnel(m.w.spread))
		if err != nil {
			return stop, err
		}
		held = append(held, conn)
		_ = conn.SetDeadline(time.Now().Add(programs.Patience))
		if err := m.logIn(conn); err != nil {
			return stop, err
		}
	}
	return stop, nil
}

// logIn logs in without TLS and a password, and runs a statement.
func (m mySQL) logIn(conn net.Conn) error {
	payload, _, err := mysqlwire.ReadPacket(conn, maxAnswer)
	if err != nil {
		return err
	}
	greeting, err := mysqlwire.ParseGreeting(payload)
	if err != nil {
		return err
	}
	login := mysqlwire.HandshakeResponse{
		Flags:     mysqlwire.LongPassword | mysqlwire.Protocol41 | mysqlwire.SecureConnection | mysqlwire.PluginAuth | mysqlwire.ConnectWithDB,
		MaxPacket: 1 << 24, Collation: greeting.Collation, User: m.account(), Database: m.name(), Method: greeting.Method,
	}
	if _, err := conn.Write(mysqlwire.AppendPacket(nil, 1, login.Append(nil))); err != nil {
		return err
	}
	if payload, _, err = mysqlwire.ReadPacket(conn, maxAnswer); err != nil {
		return err
	}
	if len(payload) == 0 || payload[0] != mysqlwire.HeaderOK {
		return fmt.Errorf("the login was answered with %q", payload)
	}
	if _, err := conn.Write(mysqlwire.AppendPacket(nil, 0, append([]byte{byte(mysqlwire.ComQuery)}, "select 1"...))); err != nil {
		return err
	}
	for range 5 { // a count, a definition, its end, a row, the end
		if _, _, err := mysqlwire.ReadPacket(conn, maxAnswer); err != nil {
			return err
		}
	}
	return nil
}
