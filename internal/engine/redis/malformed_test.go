package redis_test

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"sallyport/internal/redisserver"
)

// TestSecretsInWhatIsNoCommandAreNotRecorded sends passwords where they are easily mistyped, and looks for them in the record,
// texts and bytes.
func TestSecretsInWhatIsNoCommandAreNotRecorded(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	for name, text := range map[string]string{
		"first, inline": "AUTH default \"hunter2\r\n",
		"later, inline": "PING\r\nAUTH default \"hunter2\r\n",
		"first, length": "*3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$5\r\nhunter2\r\n",
		"later, length": "*1\r\n$4\r\nPING\r\n*3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$5\r\nhunter2\r\n",
		"acl dryrun":    "ACL DRYRUN default AUTH hunter2\r\n",
		"config of 8.0": "CONFIG SET tls-key-file-pass hunter2\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := behind(t, s, "default")
			c := r.raw(t)
			_, _ = io.WriteString(c, text)
			if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
				_ = cw.CloseWrite()
			}
			_, _ = io.ReadAll(c)
			v := closed(t, r, c)
			for _, line := range v.Journal.Lines() {
				var event struct {
					Payload []byte `json:"payload"`
				}
				if err := json.Unmarshal(line, &event); err != nil {
					t.Fatal(err)
				}
				if text := string(line) + string(event.Payload); strings.Contains(text, "hunter2") {
					t.Errorf("the record has %s with the bytes %q", line, event.Payload)
				}
			}
		})
	}
}
