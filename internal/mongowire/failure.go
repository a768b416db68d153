package mongowire

// Failure is an error as clients read it in an answer.
type Failure struct {
	Code int32
	Name string // of the code; may be empty
	Text string
}

// Append appends the answer to a message: an OP_REPLY to an OP_QUERY, otherwise an OP_MSG.
func (f Failure) Append(b []byte, to Header) []byte {
	// Clients go by the number that an answer is to, and not by its own.
	const ownRequest = 1
	var d Builder
	d.Int32("ok", 0).Text("errmsg", f.Text).Int32("code", f.Code)
	if f.Name != "" {
		d.Text("codeName", f.Name)
	}
	if to.Op != OpQuery {
		return AppendMsg(b, ownRequest, to.RequestID, 0, d.Build())
	}
	d.Text("$err", f.Text)
	return AppendReply(b, ownRequest, to.RequestID, true, d.Build())
}
