package mongowire_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/mongowire"
)

// FuzzRefusalIn reads answers to a first hello. What is read stands there, and what a greeting says is read from either kind of answer.
func FuzzRefusalIn(f *testing.F) {
	const reason = "access to db denied"
	refused := mongowire.Greeting(reason)
	numbered := mongowire.Document(marshal(f, bson.D{{Key: "refusal", Value: 1}}))
	cut := mongowire.AppendReply(nil, 1, 7, false, refused)
	binary.LittleEndian.PutUint32(cut[bytes.Index(cut, []byte(reason))-4:], 1<<30) // the text is said to be longer than all
	for _, message := range [][]byte{
		mongowire.AppendMsg(nil, 1, 7, 0, refused),
		mongowire.AppendReply(nil, 1, 7, false, refused),
		mongowire.AppendReply(nil, 1, 7, false, numbered),
		mongowire.AppendMsg(nil, 1, 7, 0, marshal(f, bson.D{{Key: "ismaster", Value: true}, {Key: "ok", Value: 1}})),
		cut,
		cut[:mongowire.HeaderSize+4],
	} {
		f.Add(message, reason)
	}
	f.Fuzz(func(t *testing.T, message []byte, reason string) {
		if len(message) >= mongowire.HeaderSize {
			if got := mongowire.RefusalIn(message); !bytes.Contains(message, []byte(got)) {
				t.Fatalf("%q was read in %x", got, message)
			}
		}
		if len(reason) > 1<<20 {
			return
		}
		for _, answer := range [][]byte{
			mongowire.AppendMsg(nil, 1, 7, 0, mongowire.Greeting(reason)),
			mongowire.AppendReply(nil, 1, 7, false, mongowire.Greeting(reason)),
		} {
			if got := mongowire.RefusalIn(answer); got != reason {
				t.Fatalf("%q was read as %q", reason, got)
			}
		}
	})
}
