package resp

import "bytes"

const (
	maxReplyLine = 1 << 20
	maxElements  = 1 << 40 // that are to come of one reply
	maxText      = 1 << 10 // of an error, that is kept
	maxHead      = 32      // of the first element, that is kept
)

// Reply is what is known of a reply when it is complete. Its texts are valid until the next one begins.
type Reply struct {
	Type  byte
	Count int64  // elements of an array, a set, a push; pairs of a map; otherwise 0
	Null  bool   // of either protocol
	Text  []byte // of a line or an error that is the whole reply; at most its beginning
	// Of one with elements: the first of them if it is a short string, and the last if it is a number.
	Head []byte
	Last int64
}

// Scanner finds the ends of replies in a stream, without keeping them. The zero value is ready.
type Scanner struct {
	// Element is called at the end of each element of a reply, but not of a push: its place, what is known of it as of a reply, with a
	// text only if it is an error, and how many bytes it has. It may be nil.
	Element func(place int64, element *Reply, size int64)

	reply   Reply
	began   bool
	need    int64 // elements that are to come, of whatever depth
	inner   int64 // those of them that belong to the element under way
	aside   int64 // elements that are to come of a push in the middle of a reply
	pushed  bool  // what is being read belongs to such a push, and not to the reply
	place   int64 // of the next element
	part    Reply // the element under way
	parting bool  // there is one, for Element
	size    int64 // of it, so far
	skip    int64 // bytes of a string that are to come, CR LF included
	heading bool  // they belong to the first element
	failing bool  // they belong to an error that is the whole reply
	text    []byte
	head    []byte
}

// Mid reports whether a reply has begun and not ended.
func (s *Scanner) Mid() bool { return s.began }

// Scan takes what it can of data, and returns how much. It stops behind the end of a reply, and returns that.
func (s *Scanner) Scan(data []byte) (n int, reply *Reply, err error) {
	for n < len(data) {
		var step int
		if s.skip > 0 {
			step, err = s.skipString(data[n:])
		} else {
			step, err = s.item(data[n:])
		}
		if err != nil || step == 0 {
			return n, nil, err
		}
		n += step
		if s.parting && !s.pushed {
			if s.size += int64(step); s.skip == 0 && s.inner == 0 {
				s.parting = false
				s.Element(s.place-1, &s.part, s.size)
			}
		}
		if s.skip == 0 && s.need == 0 {
			s.began = false
			s.reply.Text, s.reply.Head = s.text, s.head
			return n, &s.reply, nil
		}
	}
	return n, nil, nil
}

// skipString takes bytes of a string.
func (s *Scanner) skipString(data []byte) (int, error) {
	n := int(min(s.skip, int64(len(data))))
	for i := max(0, n-2); i < n; i++ { // its end may come in two pieces
		switch left := s.skip - int64(i); {
		case left == 2 && data[i] != '\r', left == 1 && data[i] != '\n':
			return 0, malformed("a string without its end")
		}
	}
	if s.heading || s.failing {
		s.keep(data[:min(int64(n), max(s.skip-2, 0))])
	}
	if s.skip -= int64(n); s.skip == 0 {
		s.heading, s.failing = false, false
	}
	return n, nil
}

func (s *Scanner) keep(content []byte) {
	if s.heading && len(s.head)+len(content) <= maxHead {
		s.head = append(s.head, content...)
	}
	if s.failing {
		s.text = append(s.text, content[:min(len(content), maxText-len(s.text))]...)
	}
}

// item takes the beginning of an element, or all of one that is a line. It returns 0 when that has not arrived.
func (s *Scanner) item(data []byte) (size int, err error) {
	typ := data[0]
	text, size, err := line(data, maxReplyLine)
	if err != nil || size == 0 {
		return 0, err
	}
	// Redis before 7.2 sends the message of a subscription at once that a transaction publishes: in the middle of the answer to EXEC.
	s.pushed = s.aside > 0 || typ == Push && s.began && s.reply.Type != Push
	switch typ {
	case Simple, Error, Integer, Double, BigNumber, Boolean, Null:
		s.element(typ, text)
		return size, nil
	}
	n, err := number(text)
	if err != nil {
		return 0, err
	}
	switch typ {
	case Bulk, BlobError, Verbatim:
		if n < -1 || n < 0 && typ != Bulk {
			return 0, malformed("a string of %d bytes", n)
		}
		s.element(typ, nil)
		if n >= 0 {
			s.skip = n + 2
		} else if !s.pushed {
			s.heading, s.failing = false, false
			s.reply.Null = s.reply.Null || s.place == 0
			s.part.Null = s.part.Null || s.inner == 0
		}
		return size, nil
	case Array, Set, Push, Map:
		return size, s.aggregate(typ, n)
	default: // attributes among them, which no command but DEBUG answers
		return 0, malformed("a reply that begins with %q", typ)
	}
}

// begin notes the first byte of a reply.
func (s *Scanner) begin(typ byte, need int64) {
	s.began, s.need, s.inner, s.place = true, need, 0, 0
	s.reply = Reply{Type: typ, Null: typ == Null}
	s.text, s.head = s.text[:0], s.head[:0]
	s.heading, s.parting = false, false
}

// element notes that one has begun. Text is that of a line.
func (s *Scanner) element(typ byte, text []byte) {
	switch {
	case s.pushed:
		s.aside--
		return
	case !s.began:
		s.begin(typ, 0)
		s.text = append(s.text, text[:min(len(text), maxText)]...)
		s.failing = typ == BlobError
		return
	case s.inner > 0:
		s.need--
		s.inner--
		return
	}
	s.need--
	if s.reply.Last = 0; typ == Integer {
		s.reply.Last, _ = number(text)
	}
	if s.heading = s.place == 0 && typ == Bulk; s.place == 0 && typ == Simple {
		s.head = append(s.head, text[:min(len(text), maxHead)]...)
	}
	if s.Element != nil && s.reply.Type != Push {
		switch typ {
		case Error:
		case BlobError:
			text = []byte("an error")
		default:
			text = nil
		}
		s.part, s.parting, s.size = Reply{Type: typ, Null: typ == Null, Text: text}, true, 0
	}
	s.place++
}

// aggregate notes the beginning of what has elements.
func (s *Scanner) aggregate(typ byte, n int64) error {
	if n < -1 || n < 0 && typ != Array || n > maxElements {
		return malformed("%d elements", n)
	}
	count := max(n, 0)
	elements := count
	if typ == Map {
		elements = 2 * count
	}
	if s.need+s.aside+elements > maxElements {
		return malformed("more than %d elements", int64(maxElements))
	}
	if s.pushed {
		if s.aside > 0 {
			s.aside-- // it is an element itself
		}
		s.aside += elements
		return nil
	}
	if !s.began {
		s.begin(typ, elements)
		s.reply.Count, s.reply.Null = count, n < 0
		return nil
	}
	outer := s.inner == 0
	s.element(typ, nil)
	s.need += elements
	if s.inner += elements; outer {
		s.inner = elements
		s.part.Count, s.part.Null = count, n < 0
	}
	return nil
}

// Code returns the first word of an error, such as ERR.
func Code(text []byte) string {
	code, _, _ := bytes.Cut(text, []byte(" "))
	return string(code)
}
