//go:build unix

package redisserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/realserver"
)

// conn is a connection of the administrator. It has nothing in common with what is tested.
type conn struct {
	raw net.Conn
	r   *bufio.Reader
}

func newConn(raw net.Conn) *conn { return &conn{raw, bufio.NewReader(raw)} }

func (c *conn) close() { _ = c.raw.Close() }

func (c *conn) do(args ...string) (string, error) {
	_ = c.raw.SetDeadline(time.Now().Add(realserver.Timeout))
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := io.WriteString(c.raw, b.String()); err != nil {
		return "", err
	}
	return c.read()
}

// read reads a reply of RESP2.
func (c *conn) read() (string, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	text := line[1:]
	switch line[0] {
	case '$':
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return "", err
		}
		content := make([]byte, n+2)
		_, err = io.ReadFull(c.r, content)
		return string(content[:n]), err
	case '*':
		n, err := strconv.Atoi(text)
		if err != nil {
			return "", err
		}
		var lines []string
		for range n {
			element, err := c.read()
			if err != nil {
				return "", err
			}
			lines = append(lines, element)
		}
		return strings.Join(lines, "\n"), nil
	default:
		return text, nil
	}
}
