package mongowire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	maxHeld = 64 << 10 // of an element's beginning
	maxText = 4 << 10  // of an error message that is kept
)

// Answer reads what an answer says of itself while it passes by: how a command ended and how many documents there were.
// No more of it is looked at, and none of it kept. Reset is called before each answer.
type Answer struct {
	Outcome

	skip   int64 // bytes of a value that need no look
	text   *[]byte
	levels [3]level
	depth  int // levels in use; 0 when the document has ended
	began  bool
	held   []byte
}

// Outcome is how a command ended.
type Outcome struct {
	OK          bool
	Code        int64
	CodeName    []byte
	Message     []byte // of an error
	N           int64  // documents inserted, matched, deleted or counted
	Documents   int64  // that are in the answer
	WriteErrors int64  // that were not written, in a batch
	Concern     bool   // what was written has not reached as many members as was asked for
	CursorID    int64
}

type level struct {
	kind  byte
	left  int64 // bytes, with the zero at the end
	count *int64
}

const (
	levelTop byte = iota
	levelCursor
	levelList
)

// Reset forgets the answer before. It keeps buffers.
func (a *Answer) Reset() {
	name, message, held := a.CodeName[:0], a.Message[:0], a.held[:0]
	*a = Answer{held: held}
	a.CodeName, a.Message = name, message
}

// Done reports whether the document is complete.
func (a *Answer) Done() bool { return a.began && a.depth == 0 }

var errBehind = errors.New("something follows the document of an answer")

// Feed takes the next bytes of the document.
func (a *Answer) Feed(b []byte) error {
	for len(b) > 0 {
		if a.Done() {
			return errBehind
		}
		if a.skip > 0 {
			n := min(a.skip, int64(len(b)))
			if a.text != nil {
				*a.text = append(*a.text, b[:min(n, int64(max(0, maxText-len(*a.text))))]...)
			}
			if a.skip -= n; a.skip == 0 {
				a.text = nil
			}
			b = b[n:]
			continue
		}
		before := len(a.held)
		if before == 0 {
			n, err := a.step(b)
			if err != nil {
				return err
			}
			if n == 0 {
				a.held = append(a.held, b...)
				return a.checkHeld()
			}
			b = b[n:]
			continue
		}
		// The beginning of an element is in the bytes before.
		a.held = append(a.held, b[:min(len(b), 1<<10)]...)
		n, err := a.step(a.held)
		if err != nil {
			return err
		}
		if n == 0 {
			b = b[len(a.held)-before:]
			if err := a.checkHeld(); err != nil {
				return err
			}
			continue
		}
		b = b[n-before:]
		a.held = a.held[:0]
	}
	return nil
}

func (a *Answer) checkHeld() error {
	if len(a.held) > maxHeld {
		return fmt.Errorf("a name of more than %d bytes in an answer", maxHeld)
	}
	return nil
}

// step is element, and fails when an element would end behind its document.
func (a *Answer) step(b []byte) (n int, err error) {
	n, err = a.element(b)
	if n == 0 && err == nil && a.began && int64(len(b)) >= a.levels[a.depth-1].left {
		return 0, errors.New("a document of an answer ends within an element")
	}
	return n, err
}

// element reads one element without a value that can be skipped, or the end of a level. It returns 0 when that is not all
// there.
func (a *Answer) element(b []byte) (n int, err error) {
	if !a.began {
		if len(b) < 4 {
			return 0, nil
		}
		a.began = true
		return 4, a.enter(levelTop, int64(int32(binary.LittleEndian.Uint32(b))), nil)
	}
	top := &a.levels[a.depth-1]
	if b[0] == 0 {
		if top.left != 1 {
			return 0, errors.New("a document of an answer ends too early")
		}
		a.depth--
		return 1, nil
	}
	key, rest, ok := cString(b[1:])
	if !ok {
		return 0, nil
	}
	t, head := Type(b[0]), len(b)-len(rest)
	fixed, size, ok, err := sizeOf(t, rest)
	if err != nil || !ok {
		return 0, err
	}
	total := int64(head) + size
	if total >= top.left {
		return 0, errors.New("an element of an answer is longer than its document")
	}
	if isCollected(t) && len(rest) < int(size) {
		return 0, nil
	}
	top.left -= total
	if entered, err := a.field(top, key, t, rest, size); err != nil || entered {
		return head + 4, err
	}
	a.skip = size - int64(fixed)
	return head + fixed, nil
}

// isCollected tells types whose values are waited for: they are short.
func isCollected(t Type) bool { return t == Int32 || t == Int64 || t == Double || t == Boolean }

// sizeOf returns how long a value is, and how many bytes of it have to be there to know that.
func sizeOf(t Type, b []byte) (fixed int, size int64, ok bool, err error) {
	switch t {
	case String, JavaScript, Symbol, Binary, DBPointer, Embedded, Array, CodeWithScope:
		if len(b) < 4 {
			return 0, 0, false, nil
		}
		size = int64(int32(binary.LittleEndian.Uint32(b)))
		if size < 0 {
			return 0, 0, false, errShort
		}
		switch t {
		case String, JavaScript, Symbol:
			size += 4
		case Binary:
			size += 5
		case DBPointer:
			size += 16
		}
		if size < 4 {
			return 0, 0, false, errShort
		}
		return 4, size, true, nil
	case Regex:
		n, err := valueSize(t, b)
		return n, int64(n), err == nil, nil
	}
	var most [16]byte
	n, err := valueSize(t, most[:])
	return min(n, len(b)), int64(n), err == nil, err
}

func (a *Answer) enter(kind byte, size int64, count *int64) error {
	if size < 5 || size > MaxMessage {
		return fmt.Errorf("a document of %d bytes in an answer", size)
	}
	a.levels[a.depth] = level{kind: kind, left: size - 4, count: count}
	a.depth++
	return nil
}

// field takes an element in. It reports whether the value is a document that is to be read, whose length is taken.
func (a *Answer) field(in *level, key []byte, t Type, value []byte, size int64) (entered bool, err error) {
	if in.kind == levelList {
		*in.count++
		return false, nil
	}
	e := Element{Key: key, Type: t, Data: value}
	switch string(key) {
	case "ok":
		a.OK = in.kind == levelTop && e.True()
	case "code":
		a.Code, _ = e.Number()
	case "n", "nInserted", "nMatched", "nDeleted", "nUpserted":
		n, _ := e.Number()
		a.N += n
	case "id":
		a.CursorID, _ = e.Number()
	case "errmsg", "codeName":
		if t == String {
			if a.text = &a.Message; string(key) == "codeName" {
				a.text = &a.CodeName
			}
		}
	case "cursor", "lastErrorObject":
		if t == Embedded && in.kind == levelTop {
			return true, a.enter(levelCursor, size, nil)
		}
	case "firstBatch", "nextBatch", "values":
		if t == Array {
			return true, a.enter(levelList, size, &a.Documents)
		}
	case "writeErrors":
		if t == Array {
			return true, a.enter(levelList, size, &a.WriteErrors)
		}
	case "writeConcernError":
		a.Concern = true
	}
	return false, nil
}
