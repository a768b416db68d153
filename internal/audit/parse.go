package audit

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// EnvelopePrefix begins the keys that the audit log adds behind an event. No event has such a key.
const EnvelopePrefix = "log_"

// Fields is what every reader of an event needs. The rest is in Raw.
type Fields struct {
	Raw     []byte // the event's bytes, as given to Parse
	Type    string
	Code    string
	UID     uuid.UUID
	Index   int64
	Time    time.Time
	Cluster string
	User    string
	Server  string    // host id, where the event has one
	SID     uuid.UUID // Nil outside sessions
	Prev    Hash      // zero for the first event of a session and outside sessions
	Success bool
}

// Chained reports whether the event is a link of its session's chain. Others may name a session too.
func (f *Fields) Chained() bool {
	return f.SID != uuid.Nil && (f.Prev != Hash{} || strings.HasPrefix(f.Type, "db.session."))
}

// Parse checks that line is one event in strict JSON (RFC 8259, valid UTF-8, no white space between
// tokens, no key twice among those it reads) and returns its fields, whose Raw is line itself. Given that,
// looking for `"key":"value"` as bytes finds every event with this value.
func Parse(line []byte) (Fields, error) {
	f := Fields{Raw: line}
	if !utf8.Valid(line) {
		return f, errors.New("an event that is not valid UTF-8")
	}
	p := parser{scanner: scanner{text: line}, fields: &f}
	if err := p.parse(); err != nil {
		return f, fmt.Errorf("event, byte %d: %w", p.pos, err)
	}
	return f, nil
}

// The keys that Parse reads, as bits of parser.seen.
const (
	seenVersion = 1 << iota
	seenIndex
	seenType
	seenCode
	seenUID
	seenTime
	seenCluster
	seenPrev
	seenUser
	seenSID
	seenServer
	seenSuccess

	required = seenVersion | seenIndex | seenType | seenCode | seenUID | seenTime
)

type parser struct {
	scanner
	fields *Fields
	seen   int
}

func (p *parser) parse() error {
	if err := p.object(p.field); err != nil {
		return err
	}
	if p.pos != len(p.text) {
		return errors.New("text after the end of the object")
	}
	if p.seen&required != required {
		return errors.New("one of the keys v, ei, event, code, uid, time is missing")
	}
	return nil
}

// field reads the value of a key of the outermost object.
func (p *parser) field(key []byte) error {
	bit := bitOf(key)
	if bit == 0 {
		if bytes.HasPrefix(key, []byte(EnvelopePrefix)) {
			return fmt.Errorf("key %q belongs to the audit log", key)
		}
		return p.value(1)
	}
	if p.seen&bit != 0 {
		return fmt.Errorf("key %q twice", key)
	}
	p.seen |= bit
	if err := p.known(bit); err != nil {
		return fmt.Errorf("value of %q: %w", key, err)
	}
	return nil
}

func bitOf(key []byte) int {
	switch string(key) {
	case "v":
		return seenVersion
	case "ei":
		return seenIndex
	case "event":
		return seenType
	case "code":
		return seenCode
	case "uid":
		return seenUID
	case "time":
		return seenTime
	case "cluster_name":
		return seenCluster
	case "prev":
		return seenPrev
	case "user":
		return seenUser
	case "sid":
		return seenSID
	case "server_id":
		return seenServer
	case "success":
		return seenSuccess
	}
	return 0
}

// known reads the value of a key that Parse looks at.
func (p *parser) known(bit int) (err error) {
	f := p.fields
	switch bit {
	case seenVersion:
		err = p.version()
	case seenIndex:
		f.Index, err = p.integer()
	case seenType:
		err = p.name(&f.Type)
	case seenCode:
		err = p.name(&f.Code)
	case seenUID:
		err = p.uuid(&f.UID)
	case seenTime:
		err = p.time()
	case seenCluster:
		f.Cluster, err = p.unquoted()
	case seenPrev:
		err = p.prev()
	case seenUser:
		f.User, err = p.canonical()
	case seenSID:
		err = p.uuid(&f.SID)
	case seenServer:
		f.Server, err = p.unquoted()
	case seenSuccess:
		f.Success, err = p.boolean()
	}
	return err
}

// canonical reads a string that is escaped as an emitter does it: one text has one form.
func (p *parser) canonical() (string, error) {
	start := p.pos
	text, err := p.unquoted()
	if err != nil {
		return "", err
	}
	raw := p.text[start+1 : p.pos-1]
	if len(raw) != len(text) && !bytes.Equal(raw, Quote(text)) {
		return "", errors.New("escaped in an unusual way")
	}
	return text, nil
}

func (p *parser) version() error {
	v, err := p.integer()
	if err == nil && v < Version {
		err = errors.New("not a version of the event format")
	}
	return err
}

// name reads a type or a code, which is never empty and has no escapes.
func (p *parser) name(into *string) error {
	raw, escaped, err := p.string()
	if err != nil {
		return err
	}
	if len(raw) == 0 || escaped {
		return errors.New("not a name")
	}
	*into = string(raw)
	return nil
}

func (p *parser) uuid(into *uuid.UUID) error {
	raw, _, err := p.string()
	if err != nil {
		return err
	}
	id, err := uuid.ParseBytes(raw)
	if err != nil || len(raw) != 36 || id == uuid.Nil || bytes.ContainsAny(raw, "ABCDEF") {
		return errors.New("not a UUID in its usual form") // one id has one form, so that it can be searched for
	}
	*into = id
	return nil
}

func (p *parser) time() error {
	raw, _, err := p.string()
	if err != nil {
		return err
	}
	if p.fields.Time, err = time.Parse(timeLayout, string(raw)); err != nil {
		return errors.New("not a time in UTC with milliseconds")
	}
	return nil
}

func (p *parser) prev() error {
	raw, _, err := p.string()
	if err != nil {
		return err
	}
	prev := &p.fields.Prev
	if len(raw) != hex.EncodedLen(len(prev)) {
		return errors.New("not a hash")
	}
	if _, err := hex.Decode(prev[:], raw); err != nil || *prev == (Hash{}) {
		return errors.New("not a hash")
	}
	return nil
}
