package dataplane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	redisBinary  = "/usr/bin/redis-server"
	redisAdmin   = "rdsadmin" // the account of the front
	redisTimeout = 30 * time.Second
)

// redisProcess is a running Redis that is reached by its socket.
type redisProcess struct {
	process
	dir string
}

// startRedisProcess starts a server with settings on top.
func startRedisProcess(ctx context.Context, settings ...string) (*redisProcess, error) {
	if _, err := os.Stat(redisBinary); err != nil {
		return nil, fmt.Errorf("no Redis; install the package redis-server: %w", err)
	}
	dir, err := os.MkdirTemp("/tmp", "fakeaws-redis-") // a short path, because those of sockets have at most 107 bytes
	if err != nil {
		return nil, err
	}
	s := &redisProcess{dir: dir}
	settings = append([]string{"unixsocket " + s.socket(), "unixsocketperm 700", "dir " + dir, `save ""`, "appendonly no", "daemonize no",
		"user " + redisAdmin + " on >" + redisAdmin + " ~* &* +@all", "user default off"}, settings...)
	file := filepath.Join(dir, "redis.conf")
	if err = os.WriteFile(file, []byte(strings.Join(settings, "\n")+"\n"), 0o600); err == nil {
		err = s.run(ctx, program{
			name: "Redis", args: []string{"/bin/sh", "-c", `exec "$0" "$1" >&2`, redisBinary, file}, dir: dir, signal: "INT", ready: "accept connections at",
		})
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *redisProcess) stop() {
	s.end()
	_ = os.RemoveAll(s.dir) // what is left in /tmp does no harm
}

func (s *redisProcess) socket() string { return filepath.Join(s.dir, "socket") }

// Dial implements RedisServer.
func (s *redisProcess) Dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", s.socket())
}

// SetAccount implements RedisServer.
func (s *redisProcess) SetAccount(ctx context.Context, name string, rules []string) error {
	answer, err := s.do(ctx, append([]string{"ACL", "SETUSER", name}, rules...)...)
	if err == nil && answer != "+OK" {
		err = fmt.Errorf("ACL SETUSER %s: %s", name, answer)
	}
	return err
}

// do runs a command as administrator and gives the first line of the answer, or all of a text.
func (s *redisProcess) do(ctx context.Context, words ...string) (string, error) {
	conn, err := s.Dial(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(redisTimeout))
	if _, err := conn.Write(append(encodeRedisCommand([]string{"AUTH", redisAdmin, redisAdmin}), encodeRedisCommand(words)...)); err != nil {
		return "", err
	}
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || line != "+OK\r\n" {
		return "", errors.Join(err, fmt.Errorf("AUTH of the administrator: %q", line))
	}
	line, err := in.ReadString('\n')
	if err != nil || line[0] != '$' {
		return strings.TrimSpace(line), err
	}
	length, err := redisLength([]byte(line), maxRedisWord)
	if err != nil {
		return "", err
	}
	text := make([]byte, length)
	for n := 0; n < length; {
		more, err := in.Read(text[n:])
		if err != nil {
			return "", err
		}
		n += more
	}
	return string(text), nil
}

// redisNode is what a node of a cluster is known by.
type redisNode struct {
	server *redisProcess
	port   int // of the server itself, for the other nodes
	bus    int
}

const redisSlots = 16384

// startRedisCluster starts a cluster whose nodes tell clients the names and ports of the endpoints.
func startRedisCluster(ctx context.Context, nodes []Endpoint) ([]*redisProcess, error) {
	var all []*redisProcess
	fail := func(err error) ([]*redisProcess, error) {
		for _, one := range all {
			one.stop()
		}
		return nil, err
	}
	var known []redisNode
	for _, endpoint := range nodes {
		host, port, err := net.SplitHostPort(endpoint.Host)
		if err != nil {
			return fail(err)
		}
		var numbers [2]int
		for i := range numbers {
			address, err := freeAddress()
			if err != nil {
				return fail(err)
			}
			_, number, _ := net.SplitHostPort(address)
			numbers[i], _ = strconv.Atoi(number)
		}
		server, err := startRedisProcess(ctx, "bind 127.0.0.1", "port "+strconv.Itoa(numbers[0]), "cluster-enabled yes", "cluster-port "+strconv.Itoa(numbers[1]),
			"cluster-announce-ip 127.0.0.1", "cluster-announce-hostname "+host, "cluster-announce-port "+port, "cluster-announce-bus-port "+strconv.Itoa(numbers[1]),
			"cluster-preferred-endpoint-type hostname", "cluster-node-timeout 60000")
		if err != nil {
			return fail(err)
		}
		all = append(all, server)
		known = append(known, redisNode{server, numbers[0], numbers[1]})
	}
	if err := joinRedisNodes(ctx, known); err != nil {
		return fail(err)
	}
	return all, nil
}

// joinRedisNodes has the nodes meet, gives each its slots, and waits until all know of them.
func joinRedisNodes(ctx context.Context, nodes []redisNode) error {
	do := func(n redisNode, words ...string) error {
		answer, err := n.server.do(ctx, words...)
		if err == nil && answer != "+OK" {
			err = fmt.Errorf("%q: %s", words, answer)
		}
		return err
	}
	size := redisSlots / len(nodes)
	for i, n := range nodes {
		first, last := i*size, (i+1)*size-1
		if i == len(nodes)-1 {
			last = redisSlots - 1
		}
		err := do(n, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last))
		if err == nil && i > 0 {
			err = do(n, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(nodes[0].port), strconv.Itoa(nodes[0].bus))
		}
		if err != nil {
			return err
		}
	}
	deadline := time.Now().Add(redisTimeout)
	for _, n := range nodes {
		for {
			info, err := n.server.do(ctx, "CLUSTER", "INFO")
			if err != nil {
				return err
			}
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", len(nodes))) {
				break
			}
			if time.Now().After(deadline) || ctx.Err() != nil {
				return fmt.Errorf("the cluster does not form: %s", info)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}
