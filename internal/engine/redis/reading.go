package redis

import (
	"strings"
	"unicode/utf8"
	"unsafe"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
)

const longArgument = 1 << 10 // from here on an argument stands apart from the command

// reading is what has been found out about a command, once, for all that is made of it: which of its arguments are secrets,
// and what its record takes. It is valid as long as the arguments.
type reading struct {
	args    [][]byte
	secrets secrets
	large   bool // so many bytes that the record has to be no larger than they are
	size    recordSize
}

// recordSize is what the record of a command takes. Only where that was sent as engine.LargeMessage bytes or more is it measured.
type recordSize struct {
	text       int // bytes, at most
	event      int // bytes, about
	parameters int
}

// read finds that out about a command that was sent as so many bytes.
func (c *reading) read(args [][]byte, sent int) {
	c.args, c.secrets, c.large, c.size = args, secretsOf(args), false, recordSize{}
	if sent >= engine.LargeMessage {
		c.measure()
	}
}

// form is how an argument is recorded.
type form uint8

const (
	inText form = iota
	masked
	apart // among the parameters
	apartInBase64
)

// form returns how the argument in a place is recorded.
func (c *reading) form(place int) form {
	arg := c.args[place]
	switch {
	case c.secrets.has(place):
		return masked
	case len(arg) > longArgument && utf8.Valid(arg):
		return apart
	case len(arg) > longArgument, c.large && swells(arg):
		return apartInBase64
	default:
		return inText
	}
}

// measure finds out how large the record is.
func (c *reading) measure() {
	const number = len(`$1234567`)
	total := lenOf(c.args) // more than the parameters have, which makes no difference to so many bytes
	c.large = total >= engine.LargeMessage
	for i, arg := range c.args {
		text, event := number, number
		switch form := c.form(i); form {
		case masked:
			text = len(c.secrets.shown(i, arg)) + len(mask)
			event = text
		case apart, apartInBase64:
			v := audit.Parameter{Value: arg, Binary: form == apartInBase64}
			event += v.Size(total)
			c.size.parameters++
		default:
			text, event = shownLen(arg)
		}
		c.size.text += text + len(" ")
		c.size.event += event + len(" ")
	}
}

// bytes returns how many bytes the record takes in all.
func (s *recordSize) bytes() int {
	return s.text + s.event + s.parameters*int(unsafe.Sizeof(audit.Parameter{}))
}

func lenOf(args [][]byte) (total int) {
	for _, arg := range args {
		total += len(arg)
	}
	return total
}

// shownName returns the name of a command for people: of one with a subcommand both words.
func (c *reading) shownName() string {
	word := func(i int) string {
		if c.secrets.has(i) {
			return string(plainName(c.args[i]))
		}
		return string(appendArgument(nil, c.args[i][:min(len(c.args[i]), maxName)]))
	}
	name := word(0)
	if len(c.args) > 1 && hasSubcommands[strings.ToLower(name)] {
		name += " " + word(1)
	}
	return strings.ToUpper(name)
}

// hasSubcommands are the containers.
var hasSubcommands = map[string]bool{
	"acl": true, "client": true, "cluster": true, "command": true, "commandlog": true, "config": true, "debug": true, "function": true,
	"latency": true, "memory": true, "module": true, "object": true, "pubsub": true, "script": true, "sentinel": true, "slowlog": true,
	"xgroup": true, "xinfo": true,
}
