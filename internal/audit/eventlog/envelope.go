package eventlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const timeLayout = "2006-01-02T15:04:05.000Z"

// Envelope is what the log knows about an event beside the event itself.
type Envelope struct {
	Index      int64     `json:"log_index"` // place in the log, without holes
	ReceivedAt time.Time `json:"log_received_at"`
	Host       string    `json:"log_host"`   // id of the host that delivered the event, as proven by its certificate
	Stream     string    `json:"log_stream"` // run of the emitter on that host
	Seq        uint64    `json:"log_seq"`    // number of the event in the stream
}

// envelopeKey begins the envelope. It cannot stand in the envelope again, nor in a string of an event,
// where its quotes would be escaped.
var envelopeKey = []byte(`,"log_index":`)

// tail is the part of the envelope that all events of a batch share.
func tail(received time.Time, host, stream string) []byte {
	b := append([]byte(nil), `,"log_received_at":"`...)
	b = received.UTC().AppendFormat(b, timeLayout)
	b = append(b, `","log_host":"`...)
	b = append(b, host...)
	b = append(b, `","log_stream":"`...)
	b = append(b, stream...)
	return append(b, `","log_seq":`...)
}

// appendLine appends an event with its envelope and the end of the line.
func appendLine(b, event []byte, index int64, shared []byte, seq uint64) []byte {
	b = append(b, event[:len(event)-1]...) // all but the closing brace
	b = append(b, envelopeKey...)
	b = strconv.AppendInt(b, index, 10)
	b = append(b, shared...)
	b = strconv.AppendUint(b, seq, 10)
	return append(b, '}', '\n')
}

// SplitLine takes a line of the log apart: the event's bytes exactly as they were delivered, in new
// memory, and the envelope.
func SplitLine(line []byte) (event []byte, envelope Envelope, err error) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	at := bytes.LastIndex(line, envelopeKey)
	if at < 1 {
		return nil, envelope, errors.New("a line of the audit log without an envelope")
	}
	// The envelope is an object of its own once its comma is a brace.
	rest := append([]byte{'{'}, line[at+1:]...)
	decoder := json.NewDecoder(bytes.NewReader(rest))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&envelope); err != nil {
		return nil, envelope, fmt.Errorf("envelope of a line of the audit log: %w", err)
	}
	if envelope.Host == "" || envelope.Stream == "" {
		return nil, envelope, errors.New("a line of the audit log with an incomplete envelope")
	}
	event = make([]byte, 0, at+1)
	event = append(event, line[:at]...)
	return append(event, '}'), envelope, nil
}
