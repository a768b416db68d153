// Package cred is what an agent shows a database: a certificate, a password or a token, made for one
// database account and short-lived.
package cred

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// Request says for whom a credential is.
type Request struct {
	Database        *resource.Database
	User            string // Sallyport's user
	UserCertificate []byte // the user's verified certificate, PEM
	DatabaseUser    string
	DatabaseName    string // logical database; empty where the protocol has none
	Check           string // id of the check that the credential is for, in place of a user's certificate; empty in sessions
}

// Credential is shown to a database. Its fields are shared and must not be changed.
type Credential struct {
	User        string              // account name to send; may differ from the one asked for
	Certificate *tls.Certificate    // nil when the database wants none
	Password    string              // empty when the database wants none; sent only over verified TLS
	Authorities []*x509.Certificate // that the database's certificate may come from, besides configured ones

	// Token says that Password is made for the database's service to read: it is sent as it is, or not at all.
	Token bool
	// Address is the host:port that the credential is for, and is dialled; empty for the database's URI.
	Address string
	// SystemAuthorities has the authorities of the system trusted too.
	SystemAuthorities bool
	// AuthoritiesFrom says in words where Authorities are from, for those who read that they do not do.
	AuthoritiesFrom string
	// Member says whether the credential may be shown at another address, host:port, too, which a database refers to; nil
	// where there is none. It is safe for concurrent use.
	Member func(address string) bool
	// Lasts is how long the database keeps a connection after a login, unless it is logged in again; 0 is for ever.
	Lasts time.Duration
	// Renew makes the password anew, for later logins in the same session; nil where Password stays good. It is safe for
	// concurrent use.
	Renew func(ctx context.Context) (string, error)
	// Prove answers a database that wants to know from AWS itself who the caller is; nil for all others. It is safe for
	// concurrent use.
	Prove func(ctx context.Context, c Challenge) (Proof, error)
	// Advice says what to do when the database does not let the account in; nil where there is nothing to
	// say. It is safe for concurrent use, and what it returns is for users to read.
	Advice func(Refusal) string
}

// Challenge is what a database gives to be signed: a request to a host of AWS's Security Token Service, with its nonce.
type Challenge struct {
	Host  string
	Nonce []byte
}

// Proof is the signed request, as far as the database does not know it: its headers Authorization, X-Amz-Date and
// X-Amz-Security-Token.
type Proof struct{ Authorization, Date, Token string }

// Refusal is how a database did not let an account in.
type Refusal struct {
	Code    string // of the database's protocol, such as 28P01; empty if it only asked for another proof
	Number  uint16 // of the error, where the protocol has numbers: MySQL
	Message string // of the database
	Method  string // in words, the proof that it asked for instead; empty if it was shown what there is
}

// Source makes credentials for databases of one kind. Implementations are safe for concurrent use.
type Source interface {
	Credential(ctx context.Context, req Request) (*Credential, error)
}

// Signer is the part of the API that signs client certificates.
type Signer interface {
	SignDatabaseClientCertificate(context.Context, *sallyportv1.SignDatabaseClientCertificateRequest) (*sallyportv1.SignDatabaseClientCertificateResponse, error)
}

// SelfHosted is the source for databases that trust the cluster's client authority: a certificate whose
// common name is the database account. Certificates are kept for their life per user, account and
// database, so that most connections need no signature.
type SelfHosted struct {
	signer Signer
	now    func() time.Time

	mu    sync.Mutex
	cache map[cacheKey]*cached // guarded by mu
	swept time.Time            // guarded by mu
}

type cacheKey struct{ user, databaseUser, database string }

type cached struct {
	mu         sync.Mutex  // held while signing, so that many sessions ask once
	credential *Credential // guarded by mu
	expires    time.Time   // guarded by mu
}

// minLife is how long a kept certificate must still be valid to be used.
const minLife = 30 * time.Second

// NewSelfHosted returns a source that has certificates signed by the signer.
func NewSelfHosted(signer Signer, now func() time.Time) *SelfHosted {
	return &SelfHosted{signer: signer, now: now, cache: make(map[cacheKey]*cached)}
}

// Credential implements Source.
func (s *SelfHosted) Credential(ctx context.Context, req Request) (*Credential, error) {
	entry := s.entry(cacheKey{req.User, req.DatabaseUser, req.Database.GetName()})
	entry.mu.Lock()
	defer entry.mu.Unlock()
	if entry.credential != nil && s.now().Add(minLife).Before(entry.expires) {
		return entry.credential, nil
	}
	credential, expires, err := s.sign(ctx, req)
	if err != nil {
		return nil, err
	}
	entry.credential, entry.expires = credential, expires
	return credential, nil
}

func (s *SelfHosted) entry(key cacheKey) *cached {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now.Sub(s.swept) > time.Minute {
		s.swept = now
		for key, entry := range s.cache {
			if entry.mu.TryLock() {
				if now.After(entry.expires) {
					delete(s.cache, key)
				}
				entry.mu.Unlock()
			}
		}
	}
	entry := s.cache[key]
	if entry == nil {
		entry = &cached{}
		s.cache[key] = entry
	}
	return entry
}

func (s *SelfHosted) sign(ctx context.Context, req Request) (*Credential, time.Time, error) {
	key, public, err := ca.GenerateKeyPair()
	if err != nil {
		return nil, time.Time{}, err
	}
	res, err := s.signer.SignDatabaseClientCertificate(ctx, &sallyportv1.SignDatabaseClientCertificateRequest{
		PublicKey: public, DatabaseService: req.Database.GetName(), DatabaseUser: req.DatabaseUser, UserCertificate: req.UserCertificate, CheckId: req.Check,
	})
	if fault.Is(err, fault.AccessDenied) {
		return nil, time.Time{}, &Denied{err}
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("getting a client certificate for the database: %w", err)
	}
	cert, err := ca.Join(key, res.GetCertificate())
	if err != nil {
		return nil, time.Time{}, err
	}
	credential := &Credential{User: req.DatabaseUser, Certificate: cert}
	for _, pem := range res.GetServerAuthorities() {
		cert, err := ca.ParseCertificate(pem)
		if err != nil {
			return nil, time.Time{}, err
		}
		credential.Authorities = append(credential.Authorities, cert)
	}
	return credential, res.GetExpires().AsTime(), nil
}
