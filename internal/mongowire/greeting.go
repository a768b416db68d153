package mongowire

// refusalField is in no server's hello, so that clients pass over it.
const refusalField = "refusal"

// Greeting is the hello of a server that stands alone and refuses whatever follows, for this reason: what it says of itself suits every
// client (MongoDB documentation, "hello"). Drivers ask again and again for a hello that fails, and pass on what follows one that does not.
func Greeting(refusal string) Document {
	const newest = 25 // version of the protocol, as of MongoDB 8.0
	var d Builder
	d.Bool("helloOk", true).Bool("isWritablePrimary", true).Bool("ismaster", true).Bool("readOnly", false)
	d.Int32("minWireVersion", 0).Int32("maxWireVersion", newest)
	d.Int32("maxBsonObjectSize", 16<<20).Int32("maxMessageSizeBytes", MaxMessage).Int32("maxWriteBatchSize", 100_000)
	d.Int32("logicalSessionTimeoutMinutes", 30)
	return d.Text(refusalField, refusal).Int32("ok", 1).Build()
}

// RefusalIn returns why the answer to a client's first hello, which is a whole message, refuses all that follows; "" if it does not.
func RefusalIn(message []byte) string {
	var body Document
	switch ReadHeader(message).Op {
	case OpMsg:
		var m Msg
		if m.Parse(message) == nil {
			body = m.Body
		}
	case OpReply:
		body = replied(message)
	}
	if body == nil {
		return ""
	}
	e, _ := body.Find(refusalField)
	text, _ := e.Text()
	return string(text)
}

// replied returns the document of a whole OP_REPLY that has one, or nil.
func replied(message []byte) Document {
	const head = HeaderSize + 4 + 8 + 4 + 4
	if len(message) < head {
		return nil
	}
	d, rest, err := cutDocument(message[head:])
	if err != nil || len(rest) > 0 || d.Check() != nil {
		return nil
	}
	return d
}
