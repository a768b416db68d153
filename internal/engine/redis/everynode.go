package redis

import (
	"bytes"
	"context"
	"slices"
	"strconv"

	"sallyport/internal/audit"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
)

// combination makes one reply, in pieces, of those of all nodes, and says how many elements it has. It reports false for replies
// that do not go together.
type combination func(replies []*wholeReply) (reply [][]byte, rows int64, ok bool)

// agreed is the reply that all give alike.
func agreed(replies []*wholeReply) ([][]byte, int64, bool) {
	first := replies[0].pieces
	for _, t := range replies[1:] {
		if !slices.EqualFunc(t.pieces, first, bytes.Equal) {
			return nil, 0, false
		}
	}
	return first, 1, true
}

// sum adds numbers.
func sum(replies []*wholeReply) ([][]byte, int64, bool) {
	var total int64
	for _, t := range replies {
		n, err := strconv.ParseInt(t.text, 10, 64)
		if t.kind != resp.Integer || err != nil {
			return nil, 0, false
		}
		total += n
	}
	return [][]byte{resp.AppendInteger(nil, total)}, 1, true
}

// joined puts the elements of arrays one behind the other, as they came.
func joined(replies []*wholeReply) ([][]byte, int64, bool) {
	pieces := [][]byte{nil}
	var count int64
	for _, t := range replies {
		if t.kind != resp.Array || t.null {
			return nil, 0, false
		}
		count += t.count
		first := t.pieces[0]
		pieces = append(append(pieces, first[bytes.IndexByte(first, '\n')+1:]), t.pieces[1:]...)
	}
	pieces[0] = resp.AppendArray(nil, int(count))
	return pieces, count, true
}

// least has, for each element of arrays of numbers, the least.
func least(replies []*wholeReply) ([][]byte, int64, bool) {
	var numbers []int64
	for i, t := range replies {
		if t.kind != resp.Array || i > 0 && t.count != int64(len(numbers)) {
			return nil, 0, false
		}
		value, _, err := resp.Decode(bytes.Join(t.pieces, nil))
		if err != nil {
			return nil, 0, false
		}
		for j := range value.Elements {
			n, err := strconv.ParseInt(value.Elements[j].Text, 10, 64)
			switch {
			case err != nil:
				return nil, 0, false
			case i == 0:
				numbers = append(numbers, n)
			default:
				numbers[j] = min(numbers[j], n)
			}
		}
	}
	reply := resp.AppendArray(nil, len(numbers))
	for _, n := range numbers {
		reply = resp.AppendInteger(reply, n)
	}
	return [][]byte{reply}, int64(len(numbers)), true
}

// onEveryNode has all primaries execute the command that has just been read. In the record it is one statement, and its outcome is
// that all did, or the first that did not.
func (r *relay) onEveryNode(c *command, size int) error {
	began := r.engine.cfg.Now()
	index, err := r.recordNow(r.record.query(&r.fromClient.reading))
	if err != nil {
		return err
	}
	message := r.message(size)
	result := &audit.DatabaseResult{Statement: index}
	answer, err := r.executedByAll(c, size, message, result)
	if err != nil {
		result.Error = "the session ended before the database answered"
	}
	result.Success, result.Duration = result.Error == "", r.engine.cfg.Now().Sub(began)
	if _, recordErr := r.session.Record(context.WithoutCancel(r.ctx), result); recordErr != nil {
		return recordErr
	}
	if err != nil {
		return err
	}
	err = r.reply(answer...)
	if err == nil { // otherwise some node may still be asking for room
		r.cluster.share.Release()
	}
	return err
}

// executedByAll returns what the client is to be told, and notes it in the result.
func (r *relay) executedByAll(c *command, size int, message []byte, result *audit.DatabaseResult) ([][]byte, error) {
	if err := r.settled(); err != nil {
		return nil, err
	}
	r.drop(size)
	r.session.Working(true)
	defer r.session.Working(false)
	replies, no, err := r.tellPrimaries(message, c.cluster.large)
	if err != nil {
		return nil, err
	}
	if no == nil {
		answer, rows, ok := c.cluster.every(replies)
		if ok {
			for _, piece := range answer {
				result.Bytes += int64(len(piece))
			}
			result.Rows = rows
			return answer, nil
		}
		no = refuse(codeError, "the nodes of the cluster have executed the command and do not answer alike")
	}
	result.Error = no.Error()
	return [][]byte{no.reply()}, nil
}

// tellPrimaries sends a command to all primaries, one after the other, until one does not execute it. Its replies are small, or large.
func (r *relay) tellPrimaries(message []byte, large bool) (replies []*wholeReply, no *refusal, err error) {
	f := &r.fromClient
	current := f.current
	defer func() { f.current = current }()
	addresses, no, err := r.primaries()
	if no != nil || err != nil {
		return nil, no, err
	}
	total, room := int64(0), 0
	for i, address := range addresses {
		n, err := r.at(address)
		if fault.Is(err, fault.ConnectionProblem) && r.ctx.Err() == nil {
			return nil, refuse(codeError, "%s; %d of %d nodes of the cluster have executed the command", fault.Message(err), i, len(addresses)), nil
		}
		if err != nil {
			return nil, nil, err
		}
		f.current = n
		most := maxSmall
		if large {
			most = maxWhole - int(total)
		}
		t, err := r.askWhole(message, most, room)
		if err != nil {
			return nil, nil, err
		}
		if t.isError() {
			code := resp.Code([]byte(t.text))
			return nil, refuse(code, "%s: said by the node at %s; %d of %d nodes of the cluster have executed the command", t.text[min(len(code)+1, len(t.text)):], address, i, len(addresses)), nil
		}
		if no := t.refusal(large); no != nil {
			return nil, no, nil
		}
		total, room = total+t.size, t.room()
		replies = append(replies, t)
	}
	return replies, nil, nil
}

// primaries asks where the slots of the cluster are now, and returns the addresses of the nodes that have any.
func (r *relay) primaries() (addresses []string, no *refusal, err error) {
	r.fromClient.current = r.server
	answer, err := r.askWhole(resp.AppendCommand(nil, "CLUSTER", "SLOTS"), maxLoginReply, 0)
	if err != nil {
		return nil, nil, err
	}
	if answer.isError() {
		return nil, refuse(codeError, "the command is for all nodes of the cluster, and which these are is not known, because CLUSTER SLOTS was answered with: %s", answer.text), nil
	}
	if no := answer.refusal(false); no != nil {
		return nil, no, nil
	}
	value, no, err := answer.decode(r)
	if no != nil || err != nil {
		return nil, no, err
	}
	slots := parseSlots(&value, r.server.address)
	for _, s := range slots.ranges {
		if !slices.Contains(addresses, s.address) {
			addresses = append(addresses, s.address)
		}
	}
	if len(addresses) == 0 {
		return nil, refuse(codeError, "the command is for all nodes of the cluster, and CLUSTER SLOTS names none"), nil
	}
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	r.cluster.slots = slots
	return addresses, nil, nil
}
