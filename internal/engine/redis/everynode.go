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

// maxWhole is how many bytes a reply may have that is put together of those of several nodes.
const maxWhole = 4 << 20

// nodeReply is the reply of one node.
type nodeReply struct {
	resp.Value
	raw []byte // as it came
}

// combination makes one reply of those of all nodes, and says how many elements it has. It reports false for replies that do
// not go together.
type combination func(replies []nodeReply) (reply []byte, rows int64, ok bool)

// agreed is the reply that all give alike.
func agreed(replies []nodeReply) ([]byte, int64, bool) {
	for _, t := range replies[1:] {
		if !bytes.Equal(t.raw, replies[0].raw) {
			return nil, 0, false
		}
	}
	return replies[0].raw, 1, true
}

// sum adds numbers.
func sum(replies []nodeReply) ([]byte, int64, bool) {
	var total int64
	for _, t := range replies {
		n, err := strconv.ParseInt(t.Text, 10, 64)
		if t.Type != resp.Integer || err != nil {
			return nil, 0, false
		}
		total += n
	}
	return resp.AppendInteger(nil, total), 1, true
}

// joined puts the elements of arrays one behind the other.
func joined(replies []nodeReply) ([]byte, int64, bool) {
	var elements []byte
	count := 0
	for _, t := range replies {
		if t.Type != resp.Array || t.Null {
			return nil, 0, false
		}
		count += len(t.Elements)
		elements = append(elements, t.raw[bytes.IndexByte(t.raw, '\n')+1:]...)
	}
	return append(resp.AppendArray(nil, count), elements...), int64(count), true
}

// least has, for each element of arrays of numbers, the least.
func least(replies []nodeReply) ([]byte, int64, bool) {
	numbers := make([]int64, len(replies[0].Elements))
	for i, t := range replies {
		if t.Type != resp.Array || len(t.Elements) != len(numbers) {
			return nil, 0, false
		}
		for j := range t.Elements {
			n, err := strconv.ParseInt(t.Elements[j].Text, 10, 64)
			if err != nil {
				return nil, 0, false
			}
			if i == 0 || n < numbers[j] {
				numbers[j] = n
			}
		}
	}
	reply := resp.AppendArray(nil, len(numbers))
	for _, n := range numbers {
		reply = resp.AppendInteger(reply, n)
	}
	return reply, int64(len(numbers)), true
}

// onEveryNode has all primaries execute the command that has just been read. In the record it is one statement, and its outcome is
// that all did, or the first that did not.
func (r *relay) onEveryNode(c *command, size int) error {
	began := r.engine.cfg.Now()
	index, err := r.recordNow(r.record.query(r.parser.Args))
	if err != nil {
		return err
	}
	if c.role == scriptLoad && len(r.parser.Args) > 2 {
		r.fromClient.scripts.keep(r.parser.Args[2])
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
	return r.reply(answer)
}

// executedByAll returns what the client is to be told, and notes it in the result.
func (r *relay) executedByAll(c *command, size int, message []byte, result *audit.DatabaseResult) ([]byte, error) {
	if err := r.settled(); err != nil {
		return nil, err
	}
	r.drop(size)
	r.session.Working(true)
	defer r.session.Working(false)
	replies, no, err := r.tellPrimaries(message)
	if err != nil {
		return nil, err
	}
	if no == nil {
		answer, rows, ok := c.cluster.every(replies)
		if ok {
			result.Rows, result.Bytes = rows, int64(len(answer))
			return answer, nil
		}
		no = refuse(codeError, "the nodes of the cluster have executed the command and do not answer alike")
	}
	result.Error = no.Error()
	return no.reply(), nil
}

// tellPrimaries sends a command to all primaries, one after the other, until one does not execute it.
func (r *relay) tellPrimaries(message []byte) (replies []nodeReply, no *refusal, err error) {
	f := &r.fromClient
	current := f.current
	defer func() { f.current = current }()
	addresses, no, err := r.primaries()
	if no != nil || err != nil {
		return nil, no, err
	}
	total := 0
	for i, address := range addresses {
		n, err := r.at(address)
		if fault.Is(err, fault.ConnectionProblem) && r.ctx.Err() == nil {
			return nil, refuse(codeError, "%s; %d of %d nodes of the cluster have executed the command", fault.Message(err), i, len(addresses)), nil
		}
		if err != nil {
			return nil, nil, err
		}
		f.current = n
		t, err := r.askWhole(message)
		if err != nil {
			return nil, nil, err
		}
		total += len(t.raw)
		switch {
		case t.IsError():
			code := resp.Code([]byte(t.Text))
			return nil, refuse(code, "%s: said by the node at %s; %d of %d nodes of the cluster have executed the command", t.Text[min(len(code)+1, len(t.Text)):], address, i, len(addresses)), nil
		case t.raw == nil, total > maxWhole:
			return nil, refuse(codeError, "the answers of the nodes of the cluster have more than %d bytes together; ask for less", maxWhole), nil
		}
		replies = append(replies, t)
	}
	return replies, nil, nil
}

// primaries asks where the slots of the cluster are now, and returns the addresses of the nodes that have any.
func (r *relay) primaries() (addresses []string, no *refusal, err error) {
	r.fromClient.current = r.server
	answer, err := r.askWhole(resp.AppendCommand(nil, "CLUSTER", "SLOTS"))
	if err != nil {
		return nil, nil, err
	}
	if answer.IsError() {
		return nil, refuse(codeError, "the command is for all nodes of the cluster, and which these are is not known, because CLUSTER SLOTS was answered with: %s", answer.Text), nil
	}
	slots := parseSlots(&answer.Value, r.server.address)
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

// askWhole sends a command of ours, and returns its reply, which has no raw form if it is longer than maxWhole.
func (r *relay) askWhole(message []byte) (t nodeReply, err error) {
	answer, err := r.askRaw(request{whole: true}, message)
	if err != nil || answer == "" {
		return t, err
	}
	t.raw = []byte(answer)
	if t.Value, _, err = resp.Decode(t.raw); err != nil {
		err = desynchronised("%v", err)
	}
	return t, err
}
