package session_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// open opens a session of a database with the credential and returns what was dialled.
func open(t *testing.T, change func(*resource.Database), credential cred.Credential, dialErr error) (request cred.Request, dialled []string, err error) {
	t.Helper()
	db := enginetest.NewDatabase(t, "postgres", "db.example.com:5432", nil)
	change(db)
	s, _ := enginetest.NewSession(t, enginetest.Config{
		Database: db,
		Credentials: source(func(req cred.Request) (*cred.Credential, error) {
			request = req
			return &credential, nil
		}),
		Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			dialled = append(dialled, address)
			if dialErr != nil {
				return nil, dialErr
			}
			client, server := net.Pipe()
			t.Cleanup(func() { _ = server.Close() })
			return client, nil
		},
	})
	_, err = s.Open(t.Context(), session.Want{User: "app", Name: "orders"})
	if closeErr := s.Close("ended", err); closeErr != nil {
		t.Error(closeErr)
	}
	return request, dialled, err
}

type source func(cred.Request) (*cred.Credential, error)

func (f source) Credential(_ context.Context, req cred.Request) (*cred.Credential, error) {
	return f(req)
}

func TestTheCredentialSaysWhatIsDialled(t *testing.T) {
	t.Parallel()
	nothing := func(*resource.Database) {}
	request, dialled, err := open(t, nothing, cred.Credential{User: "app", Address: "real.example.com:5432"}, nil)
	if err != nil || len(dialled) != 1 || dialled[0] != "real.example.com:5432" {
		t.Errorf("dialled %q, %v", dialled, err)
	}
	if request.DatabaseName != "orders" || request.DatabaseUser != "app" {
		t.Errorf("asked for %+v", request)
	}
	if _, dialled, err := open(t, nothing, cred.Credential{User: "app"}, nil); err != nil || len(dialled) != 1 || dialled[0] != "db.example.com:5432" {
		t.Errorf("without an address dialled %q, %v", dialled, err)
	}
}

func TestNoPasswordWithoutVerification(t *testing.T) {
	t.Parallel()
	insecure := func(db *resource.Database) { db.Spec.TLS.Mode = resource.TLSInsecure }
	_, dialled, err := open(t, insecure, cred.Credential{User: "app", Password: "secret"}, nil)
	if !fault.Is(err, fault.BadParameter) || len(dialled) > 0 || !strings.Contains(fault.Message(err), "verify-full") {
		t.Errorf("dialled %q, %v", dialled, err)
	}
	if _, _, err := open(t, insecure, cred.Credential{User: "app"}, nil); err != nil {
		t.Errorf("without a password: %v", err)
	}
}

func TestDialErrors(t *testing.T) {
	t.Parallel()
	inAWS := func(db *resource.Database) { db.Spec.AWS.RDS.InstanceID = "orders" }
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 5432}, Err: errors.New("connection timed out")}
	forbidden := fault.New(fault.AccessDenied, "not that address")
	for _, test := range []struct {
		name   string
		change func(*resource.Database)
		err    error
		texts  []string
	}{
		{"a database of one's own", func(*resource.Database) {}, refused, []string{"connection timed out", "firewall"}},
		{"a database of AWS", inAWS, refused, []string{"connection timed out", "10.0.0.1:5432", "security group", "nc -zv db.example.com 5432"}},
		{"an address that is refused", inAWS, forbidden, []string{"not that address"}},
	} {
		_, _, err := open(t, test.change, cred.Credential{User: "app"}, test.err)
		for _, text := range test.texts {
			if !strings.Contains(fault.Message(err), text) {
				t.Errorf("%s: the message lacks %q: %v", test.name, text, err)
			}
		}
	}
}
