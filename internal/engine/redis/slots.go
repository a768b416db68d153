package redis

import (
	"bytes"
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/engine/redis/resp"
)

const slotCount = 16384

// slotOf returns the slot of a key (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/): of all of
// it, or of what stands between the first { and the next }.
func slotOf(key []byte) int {
	if start := bytes.IndexByte(key, '{'); start >= 0 {
		if size := bytes.IndexByte(key[start+1:], '}'); size > 0 {
			key = key[start+1 : start+1+size]
		}
	}
	var crc uint16 // CRC-16/XMODEM
	for _, c := range key {
		crc ^= uint16(c) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % slotCount
}

// keysOf returns the places of a command's keys, as far as the table knows them.
func keysOf(c *command, args [][]byte) (places []int) {
	for _, s := range c.keys {
		first := s.index
		if s.keyword != "" {
			if first = s.behindKeyword(args); first == 0 {
				continue
			}
		}
		places = s.from(places, first, args)
	}
	return places
}

// behindKeyword returns where the keys begin that a keyword announces, or 0.
func (s *keySpec) behindKeyword(args [][]byte) int {
	if s.index < 0 {
		for i := len(args) + s.index; i > 0; i-- {
			if is(args[i], s.keyword) {
				return i + 1
			}
		}
		return 0
	}
	for i := s.index; i < len(args); i++ {
		if is(args[i], s.keyword) {
			return i + 1
		}
	}
	return 0
}

func (s *keySpec) from(places []int, first int, args [][]byte) []int {
	last := first + s.last
	step := max(s.step, 1)
	switch {
	case first >= len(args):
		return places
	case s.counted:
		count, err := strconv.Atoi(string(args[first]))
		if err != nil || count < 0 || count > len(args) {
			return places
		}
		first++
		last = first + count*step - 1
	case s.last < 0:
		last = len(args) + s.last
		if s.limit > 1 { // only the first part of what is left are keys
			last = first + (len(args)-first)/s.limit - 1
		}
	}
	for i := first; i <= last && i < len(args); i += step {
		places = append(places, i)
	}
	return places
}

// slotMap says which node has which slots, as far as is known. The zero value knows nothing.
type slotMap struct {
	ranges  []slotRange     // sorted, without overlap
	moved   map[int]string  // what was noted since
	members map[string]bool // addresses of all nodes that were named, replicas too
}

type slotRange struct {
	first, last int
	address     string
}

// parseSlots reads the answer to CLUSTER SLOTS. A node without a host is at the one that was asked.
func parseSlots(v *resp.Value, asked string) (m slotMap) {
	host, _, _ := net.SplitHostPort(asked)
	for i := range v.Elements {
		e := v.Elements[i].Elements
		if len(e) < 3 || len(e[2].Elements) < 2 {
			continue
		}
		first, err1 := strconv.Atoi(e[0].Text)
		last, err2 := strconv.Atoi(e[1].Text)
		if err1 != nil || err2 != nil || first < 0 || last >= slotCount || first > last {
			continue
		}
		m.ranges = append(m.ranges, slotRange{first, last, nodeAddress(e[2].Elements[0].Text, e[2].Elements[1].Text, host)})
		for _, node := range e[2:] {
			if len(node.Elements) >= 2 {
				m.addMember(nodeAddress(node.Elements[0].Text, node.Elements[1].Text, host))
			}
		}
	}
	slices.SortFunc(m.ranges, func(a, b slotRange) int { return cmp.Compare(a.first, b.first) })
	return m
}

func nodeAddress(host, port, otherwise string) string {
	if host == "" || host == "?" {
		host = otherwise
	}
	return net.JoinHostPort(host, port)
}

// node returns the address of the node that has the slot, or "".
func (m *slotMap) node(slot int) string {
	if address, ok := m.moved[slot]; ok {
		return address
	}
	i, found := slices.BinarySearchFunc(m.ranges, slot, func(r slotRange, slot int) int { return cmp.Compare(r.first, slot) })
	if !found {
		i--
	}
	if i < 0 || slot > m.ranges[i].last {
		return ""
	}
	return m.ranges[i].address
}

// note says where a slot is now, "" if that is not known any more.
func (m *slotMap) note(slot int, address string) {
	if m.moved == nil {
		m.moved = make(map[int]string)
	}
	m.moved[slot] = address
}

func (m *slotMap) addMember(address string) {
	if m.members == nil {
		m.members = make(map[string]bool)
	}
	m.members[address] = true
}

// redirection is a MOVED or an ASK.
type redirection struct {
	ask     bool
	slot    int
	address string
}

// parseRedirection reads an error such as "MOVED 3999 127.0.0.1:6381".
func parseRedirection(text []byte, asked string) (r redirection, ok bool) {
	words := strings.Fields(string(text))
	if len(words) != 3 || words[0] != "MOVED" && words[0] != "ASK" {
		return r, false
	}
	slot, err := strconv.Atoi(words[1])
	i := strings.LastIndexByte(words[2], ':')
	if err != nil || slot < 0 || slot >= slotCount || i < 0 {
		return r, false
	}
	host, _, _ := net.SplitHostPort(asked)
	address := nodeAddress(strings.Trim(words[2][:i], "[]"), words[2][i+1:], host)
	return redirection{words[0] == "ASK", slot, address}, true
}
