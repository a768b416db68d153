package localproxy

import (
	"errors"
	"sync"

	"sallyport/internal/fault"
	"sallyport/internal/mongowire"
	"sallyport/internal/resource"
	"sallyport/internal/splice"
)

// hearing tells, once, why the first connection that gets an answer is refused, where the protocol's clients would not: mongosh opens its
// prompt, in which nothing is allowed.
type hearing struct {
	tell func(error)
	once sync.Once
}

// on returns the connection to the agent, listened in on until the first answer is known.
func (h *hearing) on(remote splice.Conn, protocol string) splice.Conn {
	if h.tell == nil || protocol != resource.ProtocolMongoDB {
		return remote
	}
	return &heard{Conn: remote, hearing: h}
}

// heard is a connection to an agent whose first message is looked at as it passes.
type heard struct {
	splice.Conn
	hearing *hearing
	first   []byte
	known   bool
}

// maxAnswer is more than an answer to hello has, in bytes.
const maxAnswer = 64 << 10

func (h *heard) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	if h.known {
		return n, err
	}
	h.first = append(h.first, b[:n]...)
	if len(h.first) < mongowire.HeaderSize {
		return n, err
	}
	size := int(mongowire.ReadHeader(h.first).Size)
	whole := size >= mongowire.HeaderSize && size <= len(h.first)
	if !whole && size > 0 && size <= maxAnswer {
		return n, err
	}
	refusal := ""
	if whole {
		refusal = mongowire.RefusalIn(h.first[:size])
	}
	h.known, h.first = true, nil
	h.hearing.once.Do(func() {
		if refusal != "" {
			h.hearing.tell(fault.New(fault.AccessDenied, "%s", refusal))
			n, err = 0, errRefused
		}
	})
	return n, err
}

// errRefused ends a connection whose client is not to read the answer: who runs it has been told.
var errRefused = errors.New("the agent refuses what the client asks for")
