package mongodb

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/inbox"
	"sallyport/internal/mongowire"
	"sallyport/internal/session"
)

const (
	refusedTime = 30 * time.Second // that a client may stay which is refused
	maxRefusals = 100              // messages of such a client
)

// refuse ends a visit before the relay, and returns why. A driver takes a hello that fails for a server that is not well: it asks twice a
// second, until its patience ends, and each time is a visit. So hello is answered when asking again would change nothing, and
// what follows is refused, which drivers tell at once.
func (e *Engine) refuse(ctx context.Context, client net.Conn, s *session.Session, in *inbox.Inbox, first first, cause error) error {
	if ctx.Err() != nil || !isFinal(cause) {
		return e.sayNo(ctx, client, first, cause)
	}
	s.Abort() // the database need not wait for what comes of it
	ctx, cancel := context.WithTimeout(ctx, refusedTime)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = client.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	from := io.MultiReader(newUnscanned(in), client)
	for range maxRefusals {
		answer, err := refusal(from, cause)
		if err == nil && len(answer) > 0 {
			_, err = client.Write(answer)
		}
		if err != nil {
			break
		}
	}
	return cause
}

// isFinal reports whether a client that comes again with the same certificate and asks for the same is refused again, unless somebody
// changes something.
func isFinal(cause error) bool {
	if refused, ok := errors.AsType[*refusedLogin](cause); ok {
		switch refused.code {
		case codeUserNotFound, codeUnauthorized, codeAuthFailed, codeNotFound, codeBadValue:
			return true
		}
		return false
	}
	switch fault.KindOf(cause) {
	case fault.AccessDenied, fault.Unauthenticated, fault.BadParameter, fault.NotFound:
		return true
	}
	return false
}

// refusal reads a message and returns what a client that is refused gets for it: nothing, if it wants no answer.
func refusal(from io.Reader, cause error) ([]byte, error) {
	message := make([]byte, mongowire.HeaderSize, 1<<10)
	if _, err := io.ReadFull(from, message); err != nil {
		return nil, err
	}
	h := mongowire.ReadHeader(message)
	if h.Size < mongowire.HeaderSize || h.Size > mongowire.MaxMessage || h.Op != mongowire.OpMsg && h.Op != mongowire.OpQuery {
		return nil, malformed("%s of %d bytes", h.Op, h.Size)
	}
	message = append(message, make([]byte, min(h.Size, maxFirst)-mongowire.HeaderSize)...)
	if _, err := io.ReadFull(from, message[mongowire.HeaderSize:]); err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, from, int64(h.Size)-int64(len(message))); err != nil {
		return nil, err
	}
	a := asked{id: h.RequestID, legacy: h.Op == mongowire.OpQuery}
	if body, err := bodyOf(message); err == nil { // a hello is as short as that
		if name, ok := commandName(body); ok && isHello(name) {
			return a.greeting(cause), nil
		}
	}
	if !a.legacy && len(message) >= mongowire.HeaderSize+4 && binary.LittleEndian.Uint32(message[mongowire.HeaderSize:])&mongowire.MoreToCome != 0 {
		return nil, nil
	}
	return a.failure(nil, cause), nil
}

// greeting is the answer to a hello of a client that is refused.
func (a asked) greeting(cause error) []byte {
	const ownRequest = 1
	body := mongowire.Greeting(textOf(cause))
	if a.legacy {
		return mongowire.AppendReply(nil, ownRequest, a.id, false, body)
	}
	return mongowire.AppendMsg(nil, ownRequest, a.id, 0, body)
}
