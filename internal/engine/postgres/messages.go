package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"sallyport/internal/audit"
)

var errShort = errors.New("it ends too early")

// cutString cuts a text off that ends in a zero byte.
func cutString(body []byte) (text, rest []byte, ok bool) {
	end := bytes.IndexByte(body, 0)
	if end < 0 {
		return nil, body, false
	}
	return body[:end], body[end+1:], true
}

// decoder reads a message's fields in turn. After an error it yields zeros.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) bytes(n int) []byte {
	if d.err != nil {
		return nil
	}
	if n < 0 || n > len(d.rest) {
		d.err = errShort
		return nil
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) uint16() int {
	if b := d.bytes(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) string() []byte {
	if d.err != nil {
		return nil
	}
	text, rest, ok := cutString(d.rest)
	if !ok {
		d.err = errShort
		return nil
	}
	d.rest = rest
	return text
}

// name reads the name of a statement or portal.
func (d *decoder) name() []byte {
	name := d.string()
	if d.err == nil && len(name) > nameLimit {
		d.err = errLongName
	}
	return name
}

var errLongName = fmt.Errorf("a name longer than %d bytes", nameLimit)

func (d *decoder) end() error {
	if d.err == nil && len(d.rest) > 0 {
		return fmt.Errorf("%d bytes too many", len(d.rest))
	}
	return d.err
}

// queryText reads the body of a Query.
func queryText(body []byte) ([]byte, error) {
	d := decoder{rest: body}
	text := d.string()
	return text, d.end()
}

// parseMessage is the body of a Parse.
type parseMessage struct {
	name, text []byte
	types      []byte // four bytes each
}

func decodeParse(body []byte) (m parseMessage, err error) {
	d := decoder{rest: body}
	m.name = d.name()
	m.text = d.string()
	m.types = d.bytes(4 * d.uint16())
	return m, d.end()
}

// bindMessage is the beginning of the body of a Bind.
type bindMessage struct{ portal, statement []byte }

// decodeBind reads a Bind and puts its values, copied, into p, whose room it uses again.
func decodeBind(body []byte, p *portal) (m bindMessage, err error) {
	d := decoder{rest: body}
	m.portal = d.name()
	m.statement = d.name()
	formats := d.bytes(2 * d.uint16())
	count := d.uint16()
	p.values, p.parameters = p.values[:0], p.parameters[:0]
	if d.err == nil {
		d.err = p.copyValues(&d, formats, count)
	}
	results := d.bytes(2 * d.uint16())
	if d.err == nil {
		d.err = checkFormats(results)
	}
	return m, d.end()
}

// copyValues reads the values and sets the parameters to their copies.
func (p *portal) copyValues(d *decoder, formats []byte, count int) error {
	if n := len(formats) / 2; n > 1 && n != count {
		return fmt.Errorf("%d formats for %d values", n, count)
	}
	if err := checkFormats(formats); err != nil {
		return err
	}
	values := d.rest
	size := 0
	for range count {
		if n := int32(d.uint32()); n != -1 {
			size += len(d.bytes(int(n)))
		}
	}
	if d.err != nil {
		return d.err
	}
	if cap(p.values) < size {
		p.values = make([]byte, 0, size)
	}
	again := decoder{rest: values}
	for i := range count {
		p.add(&again, formatOf(formats, i))
	}
	return nil
}

func (p *portal) add(d *decoder, binary bool) {
	n := int32(d.uint32())
	if n == -1 {
		p.parameters = append(p.parameters, audit.Parameter{Null: true})
		return
	}
	from := len(p.values)
	p.values = append(p.values, d.bytes(int(n))...)
	p.parameters = append(p.parameters, audit.Parameter{Value: p.values[from:], Binary: binary})
}

// checkFormats accepts the two formats there are, text and binary.
func checkFormats(formats []byte) error {
	for i := 0; i < len(formats); i += 2 {
		if formats[i] != 0 || formats[i+1] > 1 {
			return errors.New("an unknown format of values")
		}
	}
	return nil
}

// formatOf returns whether the i-th value is binary: no format means text, one is for all values.
func formatOf(formats []byte, i int) bool {
	switch len(formats) / 2 {
	case 0:
		return false
	case 1:
		i = 0
	}
	return formats[2*i+1] == 1
}

// targetMessage is the body of a Describe or Close.
type targetMessage struct {
	portal bool
	name   []byte
}

func decodeTarget(body []byte) (m targetMessage, err error) {
	d := decoder{rest: body}
	if kind := d.bytes(1); kind != nil {
		m.portal = kind[0] == 'P'
		if kind[0] != 'P' && kind[0] != 'S' {
			return m, fmt.Errorf("neither statement nor portal but %q", kind[0])
		}
	}
	m.name = d.name()
	return m, d.end()
}

// decodeExecute returns the portal's name.
func decodeExecute(body []byte) ([]byte, error) {
	d := decoder{rest: body}
	name := d.name()
	d.uint32() // how many rows at most
	return name, d.end()
}

func decodeCopyFail(body []byte) error {
	d := decoder{rest: body}
	d.string()
	return d.end()
}

// decodeFunctionCall returns what is called and puts the arguments into p.
func decodeFunctionCall(body []byte, p *portal) (oid uint32, err error) {
	d := decoder{rest: body}
	oid = d.uint32()
	formats := d.bytes(2 * d.uint16())
	count := d.uint16()
	p.values, p.parameters = p.values[:0], p.parameters[:0]
	if d.err == nil {
		d.err = p.copyValues(&d, formats, count)
	}
	result := d.bytes(2)
	if d.err == nil {
		d.err = checkFormats(result)
	}
	return oid, d.end()
}

// decodeTypes reads object ids of four bytes each.
func decodeTypes(raw []byte) []uint32 {
	types := make([]uint32, len(raw)/4)
	for i := range types {
		types[i] = binary.BigEndian.Uint32(raw[4*i:])
	}
	return types
}
