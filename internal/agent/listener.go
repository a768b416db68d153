package agent

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"sync"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/route"
)

// maxCertificateNames is how many databases one certificate may name.
const maxCertificateNames = 100

// listener keeps the certificates that clients see: each for the exact names of databases that the agent
// serves, so that nothing else can be opened with them.
type listener struct {
	mu     sync.RWMutex
	certs  map[string]*tls.Certificate // by server name; guarded by mu
	groups []certGroup                 // owned by followDatabases
}

type certGroup struct {
	services []string
	cert     *tls.Certificate
}

// get implements mtls.Certificate.
func (l *listener) get(serverName string) (*tls.Certificate, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	cert := l.certs[route.Fold(serverName)]
	if cert == nil {
		return nil, fmt.Errorf("no database is served as %q", serverName)
	}
	return cert, nil
}

// refresh gets certificates for the services, by name, as far as those at hand do not do.
func (l *listener) refresh(ctx context.Context, a *Agent, services []string) {
	var groups []certGroup
	certs := make(map[string]*tls.Certificate)
	for group := range slices.Chunk(services, maxCertificateNames) {
		cert := l.kept(group, a.Now())
		if cert == nil {
			var err error
			if cert, err = a.listenerCertificate(ctx, group); err != nil {
				a.Logger.Error("no certificate for databases; trying again", "db", group[0], "count", len(group), "error", err)
				a.databases.due = a.Now().Add(retryAfter)
				l.keepValid(certs, a, group)
				continue
			}
		}
		groups = append(groups, certGroup{slices.Clone(group), cert})
	}
	for _, group := range groups {
		for _, service := range group.services {
			certs[route.ServerName(service, a.Cluster)] = group.cert
		}
	}
	l.groups = groups
	l.mu.Lock()
	defer l.mu.Unlock()
	l.certs = certs
}

// keepValid puts into certs what is at hand for the services as long as it is valid, when no new certificate
// could be got.
func (l *listener) keepValid(certs map[string]*tls.Certificate, a *Agent, services []string) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, service := range services {
		name := route.ServerName(service, a.Cluster)
		if cert := l.certs[name]; cert != nil && a.Now().Before(cert.Leaf.NotAfter) {
			certs[name] = cert
		}
	}
}

// kept returns the certificate at hand for exactly these services unless half of its life is over.
func (l *listener) kept(services []string, now time.Time) *tls.Certificate {
	for _, group := range l.groups {
		leaf := group.cert.Leaf
		if slices.Equal(group.services, services) && now.Before(leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore)/2)) {
			return group.cert
		}
	}
	return nil
}

func (a *Agent) listenerCertificate(ctx context.Context, services []string) (*tls.Certificate, error) {
	key, public, err := ca.GenerateKeyPair()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	res, err := a.Auth.Certificates.SignListenerCertificate(ctx, &sallyportv1.SignListenerCertificateRequest{
		PublicKey: public, DatabaseServices: services,
	})
	if err != nil {
		return nil, err
	}
	return ca.Join(key, res.GetCertificate())
}
