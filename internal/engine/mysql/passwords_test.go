package mysql_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/mysqlwire"
)

// TestPasswordsBehindTheLoginAreNotRecorded has a client change its account in a way that cannot be read.
func TestPasswordsBehindTheLoginAreNotRecorded(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2"
	change := "\x11app\x00\x10" + secret + "\x00orders\x00\x2d\x00mysql_clear_password\x00"
	for name, packets := range map[string][]byte{
		"a wrong number":                    mysqlwire.AppendPacket(nil, 1, []byte(change)),
		"behind a packet of a wrong number": append(mysqlwire.AppendPacket(nil, 1, []byte{byte(mysqlwire.ComPing)}), mysqlwire.AppendPacket(nil, 0, []byte(change))...),
		"a part of a login":                 mysqlwire.AppendPacket(nil, 3, []byte(secret+"\x00")),
		"behind a command without a byte":   append([]byte{0, 0, 0, 0}, mysqlwire.AppendPacket(nil, 0, []byte(change))...),
		"nothing wrong with it":             mysqlwire.AppendPacket(nil, 0, []byte(change)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, _ := small(t, mysqltest.Options{})
			c := logIn(t, agent, all)
			c.write(packets)
			v := agent.Visit(t, 0)
			if err := v.Wait(t); err == nil {
				t.Error("the session went on")
			}
			events := v.Journal.Events("db.session.malformed_packet", "db.session.mysql.command", "db.session.mysql.change_user")
			if len(events) != 1 {
				t.Fatalf("recorded %v", v.Journal.Events())
			}
			payload, err := base64.StdEncoding.DecodeString(events[0].Text("payload"))
			if text := string(payload) + sprint(events[0].Fields); err != nil || strings.Contains(text, "unter2") {
				t.Errorf("recorded %q, %v", text, err)
			}
		})
	}
}
