package mysqlwire_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"sallyport/internal/mysqlwire"
)

var nonce = []byte("0123456789abcdefghij")

const mariaFlags = mysqlwire.Protocol41 | mysqlwire.SecureConnection | mysqlwire.PluginAuth | mysqlwire.LongAuthData | mysqlwire.ConnectWithDB | mysqlwire.ConnectAttrs | mysqlwire.BulkOperations

func greeting() []byte {
	g := mysqlwire.Greeting{Version: "10.11.6-MariaDB", Connection: 7, Flags: mariaFlags, Collation: 45, Status: 2, Nonce: nonce, Method: mysqlwire.NativePassword}
	return g.Append(nil)
}

func response() []byte {
	p := mysqlwire.HandshakeResponse{Flags: mariaFlags, MaxPacket: 1 << 24, Collation: 45, User: "app", Proof: []byte("proof"), Database: "orders",
		Method: mysqlwire.NativePassword, Attributes: []mysqlwire.Attribute{{"program_name", "mysql"}}}
	return p.Append(nil)
}

// FuzzGreeting checks that what is read from a server is read the same when it is written again.
func FuzzGreeting(f *testing.F) {
	f.Add(greeting())
	f.Add([]byte("\x0a5.5.5-10.11.6-MariaDB\x00\x07\x00\x00\x00abcdefgh\x00\xfe\xf7\x2d\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00ijklmnopqrst\x00mysql_native_password\x00"))
	f.Add([]byte{10, 0})
	f.Fuzz(func(t *testing.T, payload []byte) {
		g, err := mysqlwire.ParseGreeting(payload)
		if err != nil || len(g.Nonce) != mysqlwire.NonceSize || g.Flags&mysqlwire.PluginAuth == 0 {
			return
		}
		again, err := mysqlwire.ParseGreeting(g.Append(nil))
		if err != nil || !reflect.DeepEqual(again, g) {
			t.Fatalf("%+v was read as %+v, %v", g, again, err)
		}
	})
}

// FuzzResponse is the same for clients.
func FuzzResponse(f *testing.F) {
	f.Add(response(), true)
	f.Add(response()[:32], false)
	f.Fuzz(func(t *testing.T, payload []byte, maria bool) {
		var offered mysqlwire.Flags
		if !maria {
			offered = mysqlwire.LongPassword
		}
		p, err := mysqlwire.ParseResponse(payload, offered)
		if err != nil {
			return
		}
		p.Flags |= mysqlwire.LongAuthData
		again, err := mysqlwire.ParseResponse(p.Append(nil), offered)
		if len(p.Proof) == 0 && len(again.Proof) == 0 {
			again.Proof = p.Proof
		}
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%+v was read as %+v, %v", p, again, err)
		}
	})
}

// tlsRequest is the beginning of the answer, which asks for TLS.
func tlsRequest(flags mysqlwire.Flags) []byte {
	p := mysqlwire.HandshakeResponse{Flags: flags, MaxPacket: 1 << 24, Collation: 45}
	return p.AppendTLSRequest(nil)
}

// FuzzTLSRequest checks that a request for TLS is nothing but that, and that whoever asks for TLS does not answer in clear.
func FuzzTLSRequest(f *testing.F) {
	f.Add(tlsRequest(mysqlwire.Protocol41 | mysqlwire.TLS))
	f.Add(tlsRequest(mysqlwire.Protocol41))
	f.Add(tlsRequest(mysqlwire.Protocol41 | mysqlwire.TLS)[:31])
	f.Add(append(tlsRequest(mysqlwire.Protocol41|mysqlwire.TLS), "app\x00\x00"...))
	f.Add([]byte("\x0d\xa6\x00\x00\x00app\x00"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		flags, err := mysqlwire.ParseTLSRequest(payload)
		_, answerErr := mysqlwire.ParseResponse(payload, 0)
		if err == nil && (len(payload) != mysqlwire.TLSRequestSize || answerErr != mysqlwire.ErrTLSRequest) {
			t.Fatalf("a request of %d bytes, as an answer %v", len(payload), answerErr)
		}
		if err == nil {
			p := mysqlwire.HandshakeResponse{Flags: flags, MaxPacket: 1 << 24, Collation: 45}
			if again, err := mysqlwire.ParseTLSRequest(p.AppendTLSRequest(nil)); err != nil || again != flags {
				t.Fatalf("%#x was read as %#x, %v", flags, again, err)
			}
		}
		if answerErr == nil && err != mysqlwire.ErrNoTLS {
			t.Fatalf("an answer in clear is read as a request: %v", err)
		}
	})
}

func TestRequestsForTLS(t *testing.T) {
	t.Parallel()
	const good = mysqlwire.Protocol41 | mysqlwire.TLS
	for name, c := range map[string]struct {
		payload []byte
		ok      bool
		clear   bool // it goes on without TLS
	}{
		"a request":                  {tlsRequest(good | mysqlwire.MultiStatements), true, false},
		"an answer without TLS":      {response(), false, true},
		"an answer that wants TLS":   {append(tlsRequest(good), "app\x00\x00"...), false, false},
		"one byte too few":           {tlsRequest(good)[:31], false, false},
		"one byte too many":          {append(tlsRequest(good), 0), false, false},
		"without TLS":                {tlsRequest(mysqlwire.Protocol41), false, true},
		"the protocol of before 4.1": {[]byte("\x0d\xa6\x00\x00\x00app\x00"), false, true},
		"TLS of the protocol before": {tlsRequest(mysqlwire.TLS), false, true},
		"nothing":                    {nil, false, false},
	} {
		if _, err := mysqlwire.ParseTLSRequest(c.payload); (err == nil) != c.ok || (err == mysqlwire.ErrNoTLS) != c.clear {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnswersInsideTLS have the flag of TLS again; in clear it is a request.
func TestAnswersInsideTLS(t *testing.T) {
	t.Parallel()
	p := mysqlwire.HandshakeResponse{Flags: mariaFlags | mysqlwire.TLS, User: "app", Method: mysqlwire.NativePassword}
	if _, err := mysqlwire.ParseResponse(p.Append(nil), mariaFlags); err != mysqlwire.ErrTLSRequest {
		t.Errorf("in clear: %v", err)
	}
	if got, err := mysqlwire.ParseResponse(p.Append(nil), mariaFlags|mysqlwire.TLS); err != nil || got.User != "app" {
		t.Errorf("inside: %+v, %v", got, err)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"8.0.36": true, "5.5.5-10.11.6-MariaDB-0+deb12u1~x": true, "8.0.0-Sallyport": true, strings.Repeat("8", 64): true, strings.Repeat("8", 65): false,
		"": false, "v8": false, "8.0\x00": false, "8.0 (x)": false, "8.0\n": false,
	} {
		if mysqlwire.IsVersion(text) != want {
			t.Errorf("%q: %t", text, !want)
		}
	}
}

// FuzzAnswers checks that no answer of a server breaks a reader, and that errors survive.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 0, 0, 0}, true)
	f.Add([]byte("\x00\x00\x00\x02\x40\x00\x00\x00\x09\x01\x07\x06orders"), true)
	f.Add([]byte("\xff\x28\x04#42000syntax"), false)
	f.Add([]byte{0xfc, 1, 1, 1}, true)
	f.Add([]byte{0, 1, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0}, false)
	f.Add([]byte("\xfemysql_native_password\x000123456789abcdefghij\x00"), false)
	f.Fuzz(func(t *testing.T, payload []byte, flag bool) {
		if ok, err := mysqlwire.ParseOK(payload, flag); err == nil {
			ok.Schema()
		}
		_, _ = mysqlwire.ParseEOF(payload)
		_, _, _ = mysqlwire.Columns(payload, flag)
		_, _ = mysqlwire.ParsePrepared(payload)
		mysqlwire.ParseSwitch(payload)
		if e, err := mysqlwire.ParseError(payload); err == nil && payload[0] == mysqlwire.HeaderError && !bytes.Equal(e.Append(nil), payload) {
			t.Fatalf("%q was written as %q", payload, e.Append(nil))
		}
	})
}

// FuzzExecute checks that values are read whole or not at all, and that reading makes little of little.
func FuzzExecute(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\x03\x00\xfe\x00\x2a\x00\x00\x00\x01x"), uint8(2), uint8(0))
	f.Add([]byte("\x01\x00\x00\x00\x00\x01\x00\x00\x00\x02\x01\x0c\x00\x06\x00\x07\xe8\x07\x01\x02\x03\x04\x05"), uint8(2), uint8(0))
	f.Add([]byte("\x01\x00\x00\x00\x80\x00\x03\x00\xfe\x00\x00\x2a\x00\x00\x00\x00\x01x\x01\x02"), uint8(2), uint8(1))
	f.Fuzz(func(t *testing.T, body []byte, n, long uint8) {
		count := int(n % 8)
		isLong := func(i int) bool { return long&(1<<i) != 0 }
		if e, err := mysqlwire.ParseExecute(body, count, nil, isLong); err == nil {
			total := 0
			for _, v := range e.Values {
				total += len(v.Text)
			}
			if len(e.Values) != count || total > 16*len(body) {
				t.Fatalf("%d values, %d bytes of text in %d", len(e.Values), total, len(body))
			}
		}
		if b, err := mysqlwire.ParseBulk(body, count, nil, func(int) error { return nil }); err == nil && (len(b.Values) != b.Rows*count || len(b.Values) > len(body)) {
			t.Fatalf("%d rows, %d values in %d bytes", b.Rows, len(b.Values), len(body))
		}
		_, _ = mysqlwire.ParseLongData(body)
	})
}
