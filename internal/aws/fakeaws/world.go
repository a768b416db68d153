package fakeaws

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config says what a World takes from outside. The zero value works.
type Config struct {
	Now    func() time.Time // default time.Now
	Random io.Reader        // default crypto/rand
	// Propagation is how long a change made through the IAM API takes to have an effect; reads show it at once.
	Propagation time.Duration
	// Latency is added to every call of an API.
	Latency time.Duration
}

// World is the whole state of the local AWS. Its methods may be called from several goroutines; what they return (accounts,
// roles, …) may be changed only inside Update, or before the first server starts.
type World struct {
	config    Config
	authority *Authority

	mu          sync.Mutex // guards all below, and the fields of everything they lead to
	accounts    map[string]*Account
	credentials map[string]*credential // by access key id
	services    []*Service
	journal     []Entry
	faults      []*fault
	secrets     []string
	servers     map[string]*Target // data-plane servers by host
	passwords   []issuedPassword
	issuers     map[string]*Issuer
	instances   []*Instance
	policies    policyCache

	identitySigner func() (*identitySigner, error) // made when it is first needed
}

// New makes an empty world with STS and IAM in it, and with an authority for its certificates.
func New(config Config) (*World, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	authority, err := newAuthority(config.Random, config.Now)
	if err != nil {
		return nil, err
	}
	w := &World{config: config, authority: authority, accounts: map[string]*Account{}, credentials: map[string]*credential{},
		servers: map[string]*Target{}, issuers: map[string]*Issuer{}, policies: policyCache{}}
	w.identitySigner = sync.OnceValues(w.newIdentitySigner)
	w.Add(stsService())
	w.Add(iamService())
	return w, nil
}

// Now is the world's time, in UTC.
func (w *World) Now() time.Time { return w.config.Now().UTC() }

// Update runs f while no call is being answered; the state of the world may be changed in it. f must not call methods of w
// other than Now.
func (w *World) Update(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// Add adds services. Names of operations within one signing name and version must be unique.
func (w *World) Add(services ...*Service) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.services = append(w.services, services...)
}

// Authority signs the certificates of everything in this world.
func (w *World) Authority() *Authority { return w.authority }

// Secrets lists every secret this world has issued or accepted so far: secret keys, session tokens, passwords, database
// tokens. Nothing of it may be found in any log.
func (w *World) Secrets() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.secrets)
}

func (w *World) secret(s string) string {
	w.secrets = append(w.secrets, s)
	return s
}

// Account gives the account with that id in a partition (aws, aws-cn, aws-us-gov), making it if need be.
func (w *World) Account(partition, id string) *Account {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.accounts[id]
	if a == nil {
		a = &Account{ID: id, Partition: partition, Users: map[string]*User{}, Roles: map[string]*Role{},
			Policies: map[string]*ManagedPolicy{}, Providers: map[string]*Provider{}, world: w}
		w.accounts[id] = a
	}
	return a
}

// Accounts lists the accounts by id.
func (w *World) Accounts() []*Account {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*Account
	for _, id := range slices.Sorted(maps.Keys(w.accounts)) {
		all = append(all, w.accounts[id])
	}
	return all
}

func (w *World) random(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(w.config.Random, b); err != nil {
		panic(fmt.Sprintf("fakeaws: reading randomness: %v", err)) // nothing here works without
	}
	return b
}

// id makes an identifier as AWS makes them: a prefix of four letters and 17 letters and digits.
func (w *World) id(prefix string) string {
	return prefix + base32.StdEncoding.EncodeToString(w.random(11))[:17]
}

func (w *World) secretKey() string {
	return w.secret(base64.RawStdEncoding.EncodeToString(w.random(30)))
}

// sessionToken is opaque; it is as long as real ones, so that whoever cuts it off is found out.
func (w *World) sessionToken() string {
	return w.secret("IQoJb3JpZ2luX2Vj" + base64.StdEncoding.EncodeToString(w.random(600)))
}

func (w *World) requestID() string {
	b := w.random(16)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// PartitionOf is the partition that a region belongs to.
func PartitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}
