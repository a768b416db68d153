package membership_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/identity"
	"sallyport/internal/membership"
)

const (
	hostID = "22222222-2222-4222-8222-222222222222"
	life   = 30 * 24 * time.Hour
)

// authority lets a host in and renews its certificate, unless it is told to be away.
type authority struct {
	host, extra *ca.Authority

	mu      sync.Mutex
	away    error
	renewed int
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	for _, to := range []**ca.Authority{&a.host, &a.extra} {
		made, err := ca.New(ca.HostCA, "test.local", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		*to = made
	}
	return a
}

func (a *authority) sign(publicKey []byte, authorities ...*ca.Authority) (*sallyportv1.HostCertificate, error) {
	key, err := ca.ParsePublicKey(publicKey)
	if err != nil {
		return nil, err
	}
	id := &identity.Identity{Kind: identity.Host, Cluster: "test.local", Name: hostID, SystemRoles: []string{"Db"}}
	extension, err := id.Extension()
	if err != nil {
		return nil, err
	}
	request := ca.Request{PublicKey: key, Subject: id.Subject(), NotAfter: time.Now().Add(life), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	request.Extensions = append(request.Extensions, extension)
	der, err := a.host.Sign(request, time.Now())
	wire := &sallyportv1.Authority{Type: string(ca.HostCA)}
	for _, one := range authorities {
		wire.Certificates = append(wire.Certificates, one.CertPEM())
	}
	return &sallyportv1.HostCertificate{Certificate: ca.EncodeCertificate(der), ClusterName: "test.local", Authorities: []*sallyportv1.Authority{wire}}, err
}

func (a *authority) Join(_ context.Context, req *sallyportv1.JoinRequest) (*sallyportv1.JoinResponse, error) {
	cert, err := a.sign(req.GetPublicKey(), a.host)
	return &sallyportv1.JoinResponse{Identity: cert}, err
}

func (a *authority) RenewHostCertificate(_ context.Context, req *sallyportv1.RenewHostCertificateRequest) (*sallyportv1.RenewHostCertificateResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away != nil {
		return nil, a.away
	}
	a.renewed++
	cert, err := a.sign(req.GetPublicKey(), a.host, a.extra)
	return &sallyportv1.RenewHostCertificateResponse{Identity: cert}, err
}

func (a *authority) set(away error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = away
}

func (a *authority) renewals() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.renewed
}

// member joins and is renewed until the test ends.
func member(t *testing.T, a *authority, path string) (*membership.Member, *bytes.Buffer) {
	t.Helper()
	m, err := membership.Join(t.Context(), a, membership.Application{HostID: hostID, Roles: []string{"Db"}}, path)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { m.Run(ctx, a, time.Now, slog.New(slog.NewTextHandler(&log, nil))) })
	t.Cleanup(func() { stop(); running.Wait() })
	return m, &log
}

func TestCertificateIsRenewedAtHalfOfItsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		path := filepath.Join(t.TempDir(), "proc", "identity.json")
		m, _ := member(t, a, path)
		first := m.Identity().Expires
		time.Sleep(life/2 - time.Hour)
		if n := a.renewals(); n != 0 {
			t.Fatalf("renewed %d times before its time", n)
		}
		time.Sleep(2 * time.Hour)
		if n := a.renewals(); n != 1 || !m.Identity().Expires.After(first) {
			t.Fatalf("renewed %d times, ends at %s, ended at %s", n, m.Identity().Expires, first)
		}
		if n := len(m.Trust().Authorities[ca.HostCA]); n != 2 {
			t.Errorf("%d host authorities are trusted, of two", n)
		}
		kept, err := membership.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		inUse, _ := m.Certificate("")
		onDisk, _ := kept.Certificate("")
		if !bytes.Equal(inUse.Certificate[0], onDisk.Certificate[0]) || len(kept.Trust().Authorities[ca.HostCA]) != 2 {
			t.Error("what is on disk is not what is in use")
		}
		time.Sleep(10 * life)
		if n := a.renewals(); n < 18 || n > 22 || time.Now().After(m.Identity().Expires) {
			t.Errorf("renewed %d times in ten lives", n)
		}
	})
}

func TestRenewalIsTriedUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		m, log := member(t, a, filepath.Join(t.TempDir(), "identity.json"))
		a.set(errors.New("away"))
		time.Sleep(life - time.Hour)
		before, _ := m.Certificate("")
		if !m.Identity().Expires.After(time.Now()) || before == nil || a.renewals() != 0 {
			t.Fatal("the certificate went before its end")
		}
		a.set(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if a.renewals() != 1 || !m.Identity().Expires.After(time.Now().Add(life/2)) {
			t.Errorf("renewed %d times, ends at %s", a.renewals(), m.Identity().Expires)
		}
		if !strings.Contains(log.String(), "was not renewed; trying again") {
			t.Error("the log does not tell")
		}
	})
}

func TestRenewedCertificateIsKeptOnceTheDiskLets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		dir := filepath.Join(t.TempDir(), "proc")
		path := filepath.Join(dir, "identity.json")
		m, _ := member(t, a, path)
		if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil { // no directory can be there
			t.Fatal(err)
		}
		time.Sleep(life/2 + time.Hour)
		if a.renewals() != 1 {
			t.Fatalf("renewed %d times", a.renewals())
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		kept, err := membership.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if !kept.Identity().Expires.Equal(m.Identity().Expires) {
			t.Error("the disk has another certificate than the process")
		}
		if a.renewals() != 1 {
			t.Errorf("renewed %d times for it", a.renewals())
		}
	})
}
