package postgres

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Types of the messages that frontends send (PostgreSQL documentation, "Message Formats").
const (
	feBind         = 'B'
	feClose        = 'C'
	feCopyData     = 'd'
	feCopyDone     = 'c'
	feCopyFail     = 'f'
	feDescribe     = 'D'
	feExecute      = 'E'
	feFlush        = 'H'
	feFunctionCall = 'F'
	feParse        = 'P'
	feQuery        = 'Q'
	feSync         = 'S'
	feTerminate    = 'X'
)

// Types of the messages that backends send.
const (
	beAuthentication       = 'R'
	beBackendKeyData       = 'K'
	beBindComplete         = '2'
	beCloseComplete        = '3'
	beCommandComplete      = 'C'
	beCopyBothResponse     = 'W'
	beCopyData             = 'd'
	beCopyDone             = 'c'
	beCopyInResponse       = 'G'
	beCopyOutResponse      = 'H'
	beDataRow              = 'D'
	beEmptyQueryResponse   = 'I'
	beErrorResponse        = 'E'
	beFunctionCallResponse = 'V'
	beNegotiateVersion     = 'v'
	beNoData               = 'n'
	beNoticeResponse       = 'N'
	beNotification         = 'A'
	beParameterDescription = 't'
	beParameterStatus      = 'S'
	beParseComplete        = '1'
	bePortalSuspended      = 's'
	beReadyForQuery        = 'Z'
	beRowDescription       = 'T'
)

const (
	headerSize = 5 // type and length; the length counts itself, the type not
	lengthSize = 4
	maxMessage = 64 << 20 // of messages that are kept whole while they are read
	maxStream  = 1<<30 - 1
	maxSmall   = 10_000 // the server's own limit for messages that hold no more than a name
)

// messageLimit returns how large a message of a frontend may be, length included, and false for types that
// no frontend sends once it is logged in.
func messageLimit(typ byte) (limit int64, known bool) {
	switch typ {
	case feQuery, feParse, feBind, feFunctionCall:
		return maxMessage, true
	case feCopyData:
		return maxStream, true
	case feClose, feDescribe, feExecute, feCopyFail:
		return maxSmall, true
	case feSync, feFlush, feTerminate, feCopyDone:
		return lengthSize, true
	default:
		return 0, false
	}
}

// readFrame reads exactly one message of at most limit bytes, and nothing behind it.
func readFrame(r io.Reader, limit uint32) (typ byte, body []byte, err error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(header[1:])
	if size < lengthSize || size > limit {
		return 0, nil, fmt.Errorf("message %q with length %d", header[0], size)
	}
	body = make([]byte, size-lengthSize)
	_, err = io.ReadFull(r, body)
	return header[0], body, err
}
