package mongodb

import (
	"bytes"
	"crypto/rand"

	"sallyport/internal/cred"
	"sallyport/internal/mongowire"
)

const (
	nonceSize = 32 // that each side adds
	maxHost   = 255
)

// authenticateByAWS has the database ask AWS who we are (MongoDB specification "Authentication", MONGODB-AWS): it gives a
// nonce and a host, and gets a signed request that it sends there.
func (l *login) authenticateByAWS() error {
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	var first, start mongowire.Builder
	first.Binary("r", nonce).Int32("p", 'n') // no channel binding
	reply, err := l.ask(start.Int32("saslStart", 1).Text("mechanism", byAWS).Binary("payload", first.Build()).Text("$db", external).Build())
	if err != nil {
		return err
	}
	id, challenge, err := challengeIn(reply, nonce)
	if err != nil {
		return err
	}
	proof, err := l.up.Prove(l.ctx, challenge)
	if err != nil {
		return err
	}
	var second, next mongowire.Builder
	second.Text("a", proof.Authorization).Text("d", proof.Date)
	if proof.Token != "" {
		second.Text("t", proof.Token)
	}
	reply, err = l.ask(next.Int32("saslContinue", 1).Int32("conversationId", id).Binary("payload", second.Build()).Text("$db", external).Build())
	if err != nil {
		return err
	}
	if done, _ := reply.Find("done"); !done.True() {
		return unexpected("a login that does not end")
	}
	return nil
}

// challengeIn reads what the database wants to have signed. Its nonce begins with ours, so that nobody else's proof is of
// use there.
func challengeIn(reply mongowire.Document, nonce []byte) (id int32, c cred.Challenge, err error) {
	e, _ := reply.Find("conversationId")
	n, ok := e.Number()
	if !ok {
		return 0, c, unexpected("a login without a number")
	}
	e, _ = reply.Find("payload")
	payload, ok := e.Binary()
	d := mongowire.Document(payload)
	if !ok || d.Check() != nil {
		return 0, c, unexpected("a login without a payload")
	}
	e, _ = d.Find("s")
	if c.Nonce, ok = e.Binary(); !ok || len(c.Nonce) != 2*nonceSize || !bytes.HasPrefix(c.Nonce, nonce) {
		return 0, c, unexpected("a nonce that does not begin with ours")
	}
	e, _ = d.Find("h")
	host, ok := e.Text()
	if !ok || len(host) == 0 || len(host) > maxHost {
		return 0, c, unexpected("a login without a host")
	}
	c.Host = string(host)
	return int32(n), c, nil
}
