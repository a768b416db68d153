package dataplane

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// The ways to log in to DocumentDB.
const (
	mongoAWS  = "MONGODB-AWS"
	scramSHA1 = "SCRAM-SHA-1"
)

var errNoLogin = errors.New("authentication failed")

func failedLogin() bson.D { return mongoRefusal(18, "AuthenticationFailed", "Authentication failed.") }

// start answers the first message of a login.
func (v *visit) start(m mongoMessage) bson.D {
	_, payload, _ := m.body.Lookup("payload").BinaryOK()
	var answer []byte
	var err error
	switch mechanism := m.text("mechanism"); {
	case mechanism == mongoAWS && !v.old() && m.text("$db") == external:
		answer, v.login, err = v.challenge(payload)
	case mechanism == scramSHA1 && v.config.Documents.Master != "":
		answer, v.login, err = v.scram(payload)
	default:
		return mongoRefusal(18, "AuthenticationFailed", "Unsupported mechanism [ -301 ]")
	}
	if err != nil {
		return failedLogin()
	}
	return bson.D{{Key: "conversationId", Value: int32(1)}, {Key: "done", Value: false}, {Key: "payload", Value: answer}, {Key: "ok", Value: 1.0}}
}

// goOn answers the second message of a login, which is the last.
func (v *visit) goOn(m mongoMessage) bson.D {
	login := v.login
	v.login = nil
	if login == nil {
		return mongoRefusal(17, "ProtocolError", "No SASL session state found")
	}
	_, payload, _ := m.body.Lookup("payload").BinaryOK()
	account, answer, err := login(payload)
	if err != nil {
		return failedLogin()
	}
	v.account = account
	return bson.D{{Key: "conversationId", Value: int32(1)}, {Key: "done", Value: true}, {Key: "payload", Value: answer}, {Key: "ok", Value: 1.0}}
}

// challenge has the client sign a request with a nonce in it (MongoDB specification "Authentication", MONGODB-AWS).
func (v *visit) challenge(payload []byte) ([]byte, secondStep, error) {
	_, theirs, _ := bson.Raw(payload).Lookup("r").BinaryOK()
	binding, _ := bson.Raw(payload).Lookup("p").Int32OK()
	if len(theirs) != 32 || binding != 'n' {
		return nil, nil, errNoLogin
	}
	nonce := append(bytes.Clone(theirs), make([]byte, 32)...)
	_, _ = rand.Read(nonce[32:]) // never fails (crypto/rand)
	host := "sts." + regionOf(v.endpoint.Host) + ".amazonaws.com"
	answer, err := bson.Marshal(bson.D{{Key: "s", Value: nonce}, {Key: "h", Value: host}})
	return answer, func(proof []byte) (string, []byte, error) {
		account, err := v.caller(host, nonce, bson.Raw(proof))
		if err == nil && !v.known(account) {
			err = errNoLogin
		}
		return account, nil, err
	}, err
}

// regionOf is the region in the name of a cluster: name.cluster-id.REGION.docdb.amazonaws.com.
func regionOf(host string) string {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	labels := strings.Split(name, ".")
	return labels[max(0, len(labels)-4)]
}

const whoAmI = "Action=GetCallerIdentity&Version=2011-06-15"

// caller sends a signed request to AWS and returns the role, or the user, that it is from.
func (v *visit) caller(host string, nonce []byte, proof bson.Raw) (string, error) {
	field := func(name string) string { text, _ := proof.Lookup(name).StringValueOK(); return text }
	if !signs(field("a"), "x-mongodb-server-nonce", "x-mongodb-gs2-cb-flag") {
		return "", errNoLogin // the request could be from somewhere else
	}
	r, err := http.NewRequest(http.MethodPost, "https://"+host+"/", strings.NewReader(whoAmI))
	if err != nil {
		return "", err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "X-MongoDB-GS2-CB-Flag": "n",
		"Content-Length": fmt.Sprint(len(whoAmI)), "X-MongoDB-Server-Nonce": base64.StdEncoding.EncodeToString(nonce),
		"Authorization": field("a"), "X-Amz-Date": field("d"), "X-Amz-Security-Token": field("t"),
	} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	out := &recorded{header: http.Header{}}
	v.config.Documents.AWS.ServeHTTP(out, r)
	var answer struct {
		ARN string `xml:"GetCallerIdentityResult>Arn"`
	}
	if err := xml.Unmarshal(out.body.Bytes(), &answer); err != nil || answer.ARN == "" {
		return "", errNoLogin
	}
	return accountOf(answer.ARN), nil
}

// signs reports whether an Authorization header says that all of the headers are signed.
func signs(authorization string, headers ...string) bool {
	_, rest, _ := strings.Cut(authorization, "SignedHeaders=")
	list, _, _ := strings.Cut(rest, ",")
	signed := strings.Split(list, ";")
	return !slices.ContainsFunc(headers, func(name string) bool { return !slices.Contains(signed, name) })
}

// accountOf is the name of an account in the database: of a session, the role.
func accountOf(caller string) string {
	parts := strings.Split(caller, ":")
	path := strings.Split(parts[len(parts)-1], "/")
	if len(parts) == 6 && len(path) == 3 && path[0] == "assumed-role" {
		return strings.Join([]string{parts[0], parts[1], "iam", "", parts[4], "role/" + path[1]}, ":")
	}
	return caller
}

// recorded is an answer of a handler. It implements http.ResponseWriter.
type recorded struct {
	header http.Header
	body   bytes.Buffer
}

func (r *recorded) Header() http.Header         { return r.header }
func (r *recorded) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorded) WriteHeader(int)             {} // the body tells

const scramRounds = 4096

// scram has the master prove the password by SCRAM-SHA-1 (RFC 5802), with MongoDB's digest in its place.
func (v *visit) scram(payload []byte) ([]byte, secondStep, error) {
	bare, ok := strings.CutPrefix(string(payload), "n,,")
	user, theirs, _ := strings.Cut(strings.TrimPrefix(bare, "n="), ",r=")
	if !ok || user != v.config.Documents.Master {
		return nil, nil, errNoLogin
	}
	salt, nonce := []byte(rand.Text()), theirs+rand.Text()
	challenge := fmt.Sprintf("r=%s,s=%s,i=%d", nonce, base64.StdEncoding.EncodeToString(salt), scramRounds)
	return []byte(challenge), func(payload []byte) (string, []byte, error) {
		without, shown, _ := strings.Cut(string(payload), ",p=")
		digest := md5.Sum([]byte(user + ":mongo:" + v.config.Documents.Password))
		salted, err := pbkdf2.Key(sha1.New, hex.EncodeToString(digest[:]), salt, scramRounds, sha1.Size)
		if err != nil {
			return "", nil, err
		}
		keyed := func(key []byte, text string) []byte {
			m := hmac.New(sha1.New, key)
			m.Write([]byte(text))
			return m.Sum(nil)
		}
		said := bare + "," + challenge + "," + without
		client := keyed(salted, "Client Key")
		stored := sha1.Sum(client)
		proof := keyed(stored[:], said)
		for i := range proof {
			proof[i] ^= client[i]
		}
		if without != "c=biws,r="+nonce || shown != base64.StdEncoding.EncodeToString(proof) {
			return "", nil, errNoLogin
		}
		signature := keyed(keyed(salted, "Server Key"), said)
		return user, []byte("v=" + base64.StdEncoding.EncodeToString(signature)), nil
	}, nil
}
