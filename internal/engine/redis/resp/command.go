package resp

import (
	"bytes"
)

// Limits of a command. The server's own are 1,024 × 1,024 arguments until 6.2 and 2^31-1 since, 512 MiB for each, and
// 64 KiB for a line (its networking.c).
const (
	MaxArguments = 1 << 20
	MaxCommand   = 64 << 20 // bytes of all that a command consists of
	MaxInline    = 64 << 10
)

// Limits bound one command.
type Limits struct {
	Arguments int
	Bytes     int // of the whole
}

// DefaultLimits are those of clients that are logged in.
var DefaultLimits = Limits{MaxArguments, MaxCommand}

// TooLarge is the error of a command beyond its limits. Args has the arguments before the one that is too large.
type TooLarge struct {
	Arguments int64 // as announced
	Bytes     int64 // at least
}

func (t *TooLarge) Error() string { return "a command beyond the limits" }

type span struct{ start, end int }

// Parser reads one command after the other. The zero value is ready.
type Parser struct {
	// Args are the arguments of the last command, its name first. They are parts of the data it was in.
	Args [][]byte
	// Inline says that it was typed in a line: the arguments are copies.
	Inline bool

	announced int // arguments; 0 while that is not known
	spans     []span
	next      int // where to go on
}

// UnderWay reports whether the beginning of a command was read.
func (p *Parser) UnderWay() bool { return p.next > 0 }

// Beside is how many bytes of memory an argument takes beside its own: its place, and a slice.
const Beside = 16 + 24

// Held returns how many bytes of memory the arguments of the command under way take beside its own: many small ones take more.
func (p *Parser) Held() int { return len(p.spans) * Beside }

// Guess returns how many bytes the command under way will have if its arguments go on as they began, and how many arguments: more of
// neither than a command may have. Of a few arguments it guesses nothing.
func (p *Parser) Guess() (size, arguments int) {
	const few = 4
	arguments = min(max(p.announced, len(p.spans)), MaxArguments)
	if len(p.spans) < few {
		return 0, arguments
	}
	mean := p.next/len(p.spans) + 1
	return min(p.next+(arguments-len(p.spans))*mean, MaxCommand), arguments
}

// Parse reads the command at the beginning of data, which holds what it held at the last call and more. It returns
// the size of the command; 0 when it is not complete, and then how long it is at least. A command without arguments,
// such as an empty line, is one that the server ignores.
func (p *Parser) Parse(data []byte, limits Limits) (size, atLeast int, err error) {
	p.Inline = false
	if len(data) == 0 {
		return 0, 0, nil
	}
	if data[0] != Array {
		return p.inline(data)
	}
	if p.next == 0 {
		if done, err := p.begin(data, limits); done || err != nil {
			size, p.next = p.next, 0
			p.Args = p.Args[:0]
			return size, 0, err
		}
		if p.next == 0 {
			return 0, 0, nil
		}
	}
	for len(p.spans) < p.announced {
		complete, atLeast, err := p.argument(data, limits)
		if err != nil || !complete {
			return 0, atLeast, err
		}
	}
	size = p.next
	p.take(data)
	return size, 0, nil
}

// begin reads how many arguments there are. It reports true for a command without any.
func (p *Parser) begin(data []byte, limits Limits) (empty bool, err error) {
	text, size, err := line(data, maxNumberLine)
	if err != nil || size == 0 {
		return false, err
	}
	n, err := number(text)
	switch {
	case err != nil:
		return false, err
	case n > int64(limits.Arguments):
		return false, &TooLarge{Arguments: n}
	}
	p.next, p.spans = size, p.spans[:0]
	if n <= 0 {
		return true, nil
	}
	p.announced = int(n)
	return false, nil
}

// argument reads the next argument.
func (p *Parser) argument(data []byte, limits Limits) (complete bool, atLeast int, err error) {
	rest := data[p.next:]
	if len(rest) == 0 {
		return false, 0, nil
	}
	if rest[0] != Bulk {
		return false, 0, malformed("an argument that begins with %q", rest[0])
	}
	text, size, err := line(rest, maxNumberLine)
	if err != nil || size == 0 {
		return false, 0, err
	}
	n, err := number(text)
	if err == nil && n < 0 {
		err = malformed("an argument of length %d", n)
	}
	if err != nil {
		return false, 0, err
	}
	start := p.next + size
	end := int64(start) + min(n, int64(limits.Bytes)) + 2 // n may be the largest number that there is
	if end > int64(limits.Bytes) {
		p.Args = appendArgs(p.Args[:0], data, p.spans)
		return false, 0, &TooLarge{Arguments: int64(p.announced), Bytes: max(n, end)}
	}
	if int64(len(data)) < end {
		return false, int(end), nil
	}
	if data[end-2] != '\r' || data[end-1] != '\n' {
		return false, 0, malformed("an argument without its end")
	}
	p.spans = append(p.spans, span{start, int(end) - 2})
	p.next = int(end)
	return true, 0, nil
}

const keptArguments = 64 // room that an idle session may keep

// take ends the command.
func (p *Parser) take(data []byte) {
	if cap(p.Args) > keptArguments && len(p.spans) <= keptArguments {
		p.Args = nil
	}
	p.Args = appendArgs(p.Args[:0], data, p.spans)
	if p.spans = p.spans[:0]; cap(p.spans) > keptArguments {
		p.spans = nil
	}
	p.announced, p.next = 0, 0
}

func appendArgs(args [][]byte, data []byte, spans []span) [][]byte {
	for _, s := range spans {
		args = append(args, data[s.start:s.end])
	}
	return args
}

// Name returns the first argument of the command under way, or nil if it is not complete.
func (p *Parser) Name(data []byte) []byte {
	if p.next == 0 || len(p.spans) == 0 {
		return nil
	}
	return data[p.spans[0].start:p.spans[0].end]
}

// inline reads a command that is typed in a line.
func (p *Parser) inline(data []byte) (size, atLeast int, err error) {
	end := bytes.IndexByte(data[:min(len(data), MaxInline)], '\n')
	if end < 0 {
		if len(data) >= MaxInline {
			return 0, 0, malformed("a line of more than %d bytes", MaxInline)
		}
		return 0, 0, nil
	}
	text := data[:end]
	if end > 0 && data[end-1] == '\r' {
		text = data[:end-1]
	}
	p.Inline = true
	if p.Args, err = splitLine(p.Args[:0], text); err != nil {
		return 0, 0, err
	}
	return end + 1, 0, nil
}

// AppendCommand appends a command as clients send it.
func AppendCommand[T string | []byte](b []byte, args ...T) []byte {
	b = appendHeader(b, Array, len(args))
	for _, arg := range args {
		b = AppendBulk(b, arg)
	}
	return b
}
