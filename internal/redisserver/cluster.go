//go:build unix

package redisserver

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/internal/realserver"
)

const slots = 16384

// Cluster is a running Redis Cluster without replicas.
type Cluster struct {
	Nodes []*Server // each has its part of the slots, in order
	realserver.Authorities
}

// StartCluster starts a cluster of so many nodes. Options have no certificate files.
func StartCluster(t testing.TB, nodes int, options Options) *Cluster {
	t.Helper()
	c := &Cluster{}
	for range nodes {
		bus, err := realserver.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		node := options
		node.Settings = append([]string{
			"cluster-enabled yes", "tls-cluster yes", "tls-replication yes", "cluster-port " + strconv.Itoa(bus), "cluster-node-timeout 60000",
		}, options.Settings...)
		node.DatabaseCA, node.ClientCA = c.DatabaseCA, c.ClientCA
		s, err := newServer(&node)
		if err == nil {
			c.Authorities = s.Authorities
			err = s.trustNodes()
		}
		if err != nil {
			t.Fatalf("preparing a node of Redis: %v", err)
		}
		t.Cleanup(func() {
			s.Stop(t)
			if t.Failed() {
				t.Logf("end of the log of the node at %s:\n%s", s.Addr, realserver.Tail(s.Log(t)))
			}
			_ = os.RemoveAll(s.dir)
		})
		s.Start(t)
		c.Nodes = append(c.Nodes, s)
		c.join(t, s, bus)
	}
	c.assign(t)
	return c
}

// trustNodes has the server trust the other nodes too, which show it their certificates when they connect.
func (s *Server) trustNodes() error {
	return s.write(realserver.TrustFile, append(s.ClientCA.CertPEM(), s.DatabaseCA.CertPEM()...))
}

// join has all other nodes meet the node.
func (c *Cluster) join(t testing.TB, s *Server, bus int) {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.Addr)
	for _, other := range c.Nodes[:len(c.Nodes)-1] {
		if answer := other.Do(t, "CLUSTER", "MEET", "127.0.0.1", port, strconv.Itoa(bus)); answer != "OK" {
			t.Fatalf("CLUSTER MEET: %s", answer)
		}
	}
}

// assign gives each node its slots, and waits until all know of them.
func (c *Cluster) assign(t testing.TB) {
	t.Helper()
	for i, node := range c.Nodes {
		first, last := c.SlotsOf(i)
		if answer := node.Do(t, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last)); answer != "OK" {
			t.Fatalf("CLUSTER ADDSLOTSRANGE: %s", answer)
		}
	}
	deadline := time.Now().Add(realserver.Timeout)
	for _, node := range c.Nodes {
		known := "cluster_known_nodes:" + strconv.Itoa(len(c.Nodes))
		for info := ""; !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, known); time.Sleep(10 * time.Millisecond) {
			if info = node.Do(t, "CLUSTER", "INFO"); time.Now().After(deadline) {
				t.Fatalf("the cluster does not form:\n%s", info)
			}
		}
	}
}

// SlotsOf returns the first and the last slot of the node with the index.
func (c *Cluster) SlotsOf(node int) (first, last int) {
	size := slots / len(c.Nodes)
	first = node * size
	if last = first + size - 1; node == len(c.Nodes)-1 {
		last = slots - 1
	}
	return first, last
}

// Slot returns the slot of a key, as the first node says.
func (c *Cluster) Slot(t testing.TB, key string) int {
	t.Helper()
	slot, err := strconv.Atoi(c.Nodes[0].Do(t, "CLUSTER", "KEYSLOT", key))
	if err != nil {
		t.Fatal(err)
	}
	return slot
}

// NodeOf returns the index of the node that has the slot.
func (c *Cluster) NodeOf(slot int) int {
	return min(slot/(slots/len(c.Nodes)), len(c.Nodes)-1)
}

// KeyOn returns a key with the prefix that belongs to the node with the index.
func (c *Cluster) KeyOn(t testing.TB, node int, prefix string) string {
	t.Helper()
	for i := 0; ; i++ {
		if key := fmt.Sprint(prefix, i); c.NodeOf(c.Slot(t, key)) == node {
			return key
		}
	}
}
