package redis

import (
	"bytes"
	"errors"

	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
)

const (
	maxWhole  = 4 << 20  // bytes that the replies of several nodes may have together, of which one is made without decoding them
	maxSmall  = 64 << 10 // of the reply of one node otherwise
	pieceSize = maxSmall
	decoded   = 32 // how many times as much memory a reply takes at most, while it is decoded
)

// wholeReply is a reply to us of which all is wanted. It is kept in pieces, as it came: decoded, 4 MiB of small elements would take
// 60 MiB. What is not small takes its room from the budget for large commands. It is used by the goroutine that reads from the node
// until the answer is handed over.
type wholeReply struct {
	most   int // bytes
	before int // room that other replies to the same command have

	kind   byte
	text   string // of a line or an error
	count  int64  // of elements
	null   bool
	pieces [][]byte // each of pieceSize bytes, but for the last
	size   int64    // of all, also of what was not kept

	tooLong bool
	busy    bool // there was no room for it
}

// keep adds to the reply. Its error is that of the relay's end.
func (w *wholeReply) keep(r *relay, data []byte) error {
	w.size += int64(len(data))
	if w.size > int64(w.most) {
		w.tooLong, w.pieces = true, nil
	}
	for len(data) > 0 && !w.tooLong && !w.busy {
		if len(w.pieces) == 0 || len(w.pieces[len(w.pieces)-1]) == pieceSize {
			if err := w.reserve(r, w.room()+pieceSize); err != nil || w.busy {
				return err
			}
			w.pieces = append(w.pieces, nil)
		}
		last := &w.pieces[len(w.pieces)-1]
		n := min(len(data), pieceSize-len(*last))
		*last = append(*last, data[:n]...)
		data = data[n:]
	}
	return nil
}

// room is what has been reserved for this reply and those before it.
func (w *wholeReply) room() int { return w.before + len(w.pieces)*pieceSize }

// reserve takes room out of the budget of all sessions, if it is more than every session may have.
func (w *wholeReply) reserve(r *relay, total int) error {
	if total <= maxSmall {
		return nil
	}
	err := r.cluster.share.Grow(r.ctx, total, func() error { return nil })
	if errors.Is(err, engine.ErrBusy) {
		w.busy, w.pieces = true, nil
		return nil
	}
	return err
}

// complete notes what the whole reply is.
func (w *wholeReply) complete(reply *resp.Reply) {
	w.kind, w.text, w.count, w.null = reply.Type, string(reply.Text), reply.Count, reply.Null
}

func (w *wholeReply) isError() bool { return w.kind == resp.Error || w.kind == resp.BlobError }

// refusal returns why the reply is not there, or nil.
func (w *wholeReply) refusal(large bool) *refusal {
	switch {
	case w.tooLong && large:
		return refuse(codeError, "the answers of the nodes of the cluster have more than %d bytes together; ask for less", maxWhole)
	case w.tooLong:
		return refuse(codeError, "the answer of a node of the cluster has more than %d bytes; ask for less", w.most)
	case w.busy:
		return refuse(codeError, "the agent is busy with other large commands; try again later, or ask for less")
	default:
		return nil
	}
}

// decode reads what was kept, for which there has to be room.
func (w *wholeReply) decode(r *relay) (v resp.Value, no *refusal, err error) {
	raw := bytes.Join(w.pieces, nil)
	if len(raw) > maxSmall {
		if err := w.reserve(r, decoded*len(raw)); err != nil || w.busy {
			return v, w.refusal(false), err
		}
	}
	v, _, err = resp.Decode(raw)
	if err != nil {
		err = desynchronised("%v", err)
	}
	return v, nil, err
}

// askWhole sends a command of ours, and returns its reply.
func (r *relay) askWhole(message []byte, most, before int) (*wholeReply, error) {
	w := &wholeReply{most: most, before: before}
	_, err := r.askRaw(request{whole: w}, message)
	return w, err
}
