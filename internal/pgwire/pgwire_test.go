package pgwire_test

import (
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/pgwire"
)

func TestPacketsAreThoseOfTheReferenceCodec(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		got  []byte
		want pgproto3.Message
	}{
		"a request for TLS":    {pgwire.First(pgwire.CodeSSLRequest), &pgproto3.SSLRequest{}},
		"a request for GSSAPI": {pgwire.First(pgwire.CodeGSSENCRequest), &pgproto3.GSSEncRequest{}},
		"a cancel request":     {pgwire.CancelRequest(4711, []byte("abcd")), &pgproto3.CancelRequest{ProcessID: 4711, SecretKey: []byte("abcd")}},
		"an error": {pgwire.Fatal("28000", "go away"), &pgproto3.ErrorResponse{
			Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "28000", Message: "go away"}},
	} {
		want, err := test.want.Encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(test.got, want) {
			t.Errorf("%s is %q, want %q", name, test.got, want)
		}
	}
}

func TestCancelRequestsAreReadWithinTheirBounds(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]bool{0: false, 1: true, 4: true, pgwire.MaxSecret: true, pgwire.MaxSecret + 1: false} {
		packet := pgwire.CancelRequest(7, bytes.Repeat([]byte{1}, size))
		if length, code := pgwire.Header(packet); int(length) != len(packet) || code != pgwire.CodeCancelRequest {
			t.Errorf("length %d of %d, code %d", length, len(packet), code)
		}
		id, secret, ok := pgwire.ParseCancelRequest(packet[pgwire.HeaderSize:])
		if ok != want || ok && (id != 7 || len(secret) != size) {
			t.Errorf("a secret of %d bytes: %d, %d bytes, %t", size, id, len(secret), ok)
		}
	}
}
