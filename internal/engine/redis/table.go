package redis

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

// known are the commands of Redis 7.0 as the server itself describes them (COMMAND): name, "container|subcommand" for
// those of containers; flags; where the keys are. A test compares it with a real server.
//
//go:embed commands.txt
var known string

// newer are commands of later versions, of Redis and of Valkey, in the same form.
//
//go:embed newer.txt
var newer string

// role is what a command means to the relay.
type role byte

const (
	ordinary     role = iota
	login             // AUTH
	hello             // HELLO
	reset             // RESET
	quit              // QUIT
	multi             // MULTI
	exec              // EXEC
	discard           // DISCARD
	subscribe         // and its kin, which are answered once for each channel
	eval              // with the text of a script
	evalSHA           // with the name of a script
	scriptLoad        // the same with another place for the text
	scriptExists      // with several names
	selects           // SELECT
	renewed           // AUTH of our own, to stay logged in
	unsupported       // what turns the connection into something that cannot be followed
)

// command is what is known of one.
type command struct {
	name  string // in lower case, words parted by a space
	role  role
	admin bool // it concerns the server, not data: refused unless a role allows it
	write bool
	keys  []keySpec
	sub   map[string]*command // of a container
	names byte                // of channels: the kind, 's', 'p' or 'c'; with unsubscribing in upper case

	cluster clusterRule // of one without keys
}

// scripted reports whether an error of the command may be worded by its user: a script or a function makes what replies it likes, and so
// may a command that is not known.
func (c *command) scripted() bool {
	return c == &unknown || c.role == eval || c.role == evalSHA || c.name == "fcall" || c.name == "fcall_ro"
}

// keySpec says where a command has keys (https://redis.io/docs/latest/develop/reference/key-specs/).
type keySpec struct {
	keyword string // after which they begin; empty if they begin at index
	index   int    // of the first key, or of the number of keys; from where on the keyword is looked for
	counted bool   // a number of keys comes first
	last    int    // index from the first key; below 0 from the end of the arguments
	step    int
	limit   int // of a last key from the end: only one of so many parts of the arguments are keys
}

// roles are those of commands that are more than a request and its reply.
var roles = map[string]role{
	"auth": login, "hello": hello, "reset": reset, "quit": quit, "multi": multi, "exec": exec, "discard": discard, "select": selects,
	"subscribe": subscribe, "psubscribe": subscribe, "ssubscribe": subscribe,
	"unsubscribe": subscribe, "punsubscribe": subscribe, "sunsubscribe": subscribe,
	"eval": eval, "eval_ro": eval, "evalsha": evalSHA, "evalsha_ro": evalSHA, "script load": scriptLoad, "script exists": scriptExists,
	"monitor": unsupported, "sync": unsupported, "psync": unsupported, "replconf": unsupported, "client reply": unsupported,
	"client capa": unsupported, "script debug": unsupported,
}

// channels tell the kinds of subscriptions apart.
var channels = map[string]byte{
	"subscribe": 'c', "psubscribe": 'p', "ssubscribe": 's', "unsubscribe": 'C', "punsubscribe": 'P', "sunsubscribe": 'S',
}

// privileged are commands that concern the server although it does not call them administrative itself: they make it
// connect elsewhere, or are meant for other servers.
var privileged = map[string]bool{"migrate": true, "restore-asking": true}

// newTable reads the lists of commands.
func newTable() map[string]*command {
	table := make(map[string]*command)
	for line := range strings.Lines(known + newer) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		name := strings.ReplaceAll(fields[0], "|", " ")
		c := &command{name: name, role: roles[name], names: channels[name], admin: privileged[name], cluster: clusterRules[name]}
		for flag := range strings.SplitSeq(fields[1], ",") {
			c.admin = c.admin || flag == "admin"
			c.write = c.write || flag == "write"
		}
		for _, text := range fields[2:] {
			c.keys = append(c.keys, parseKeySpec(text))
		}
		add(table, c)
	}
	return table
}

func add(table map[string]*command, c *command) {
	container, sub, ok := strings.Cut(c.name, " ")
	if !ok {
		if old := table[c.name]; old != nil {
			c.sub = old.sub
		}
		table[c.name] = c
		return
	}
	parent := table[container]
	if parent == nil {
		parent = &command{name: container}
		table[container] = parent
	}
	if parent.sub == nil {
		parent.sub = make(map[string]*command)
	}
	parent.sub[sub] = c
}

// parseKeySpec reads "i1:r0,1,0": keys begin at an index, or "kSTREAMS,1": behind a keyword; and they are a range, or
// "n0,1,1": counted.
func parseKeySpec(text string) keySpec {
	begin, find, _ := strings.Cut(text, ":")
	var s keySpec
	where := begin[1:]
	if begin[0] == 'k' {
		s.keyword, where, _ = strings.Cut(where, ",")
	}
	s.index = atoi(where)
	numbers := strings.Split(find[1:], ",")
	if s.counted = find[0] == 'n'; s.counted {
		s.step = atoi(numbers[2])
	} else {
		s.last, s.step, s.limit = atoi(numbers[0]), atoi(numbers[1]), atoi(numbers[2])
	}
	return s
}

func atoi(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(fmt.Sprintf("the list of commands: %v", err)) // which is part of the program
	}
	return n
}

const maxName = 32 // longer than those of all commands

// find returns what is known of a command, or nil. Letters are the same in both cases, as they are to the server.
func find(table map[string]*command, args [][]byte) *command {
	c := lookUp(table, args[0])
	if c == nil {
		return nil
	}
	if len(args) > 1 && (c.role == multi || c.role == discard || c.role == reset) {
		wrong := *c // it takes no arguments: the server refuses it, and does nothing; while EXEC discards the transaction then
		wrong.role = ordinary
		return &wrong
	}
	if c.sub == nil {
		return c
	}
	if len(args) == 1 {
		return c // which the server refuses
	}
	return lookUp(c.sub, args[1])
}

func lookUp(table map[string]*command, name []byte) *command {
	var buf [maxName]byte
	if len(name) > len(buf) {
		return nil
	}
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return table[string(buf[:len(name)])]
}
