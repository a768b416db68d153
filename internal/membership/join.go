package membership

import (
	"context"
	"log/slog"
	"time"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
)

// Joiner is the part of the API that lets hosts in.
type Joiner interface {
	Join(context.Context, *sallyportv1.JoinRequest) (*sallyportv1.JoinResponse, error)
}

// Application is what a host says when it joins.
type Application struct {
	Token    string // the secret, or the name of a token of another join method
	HostID   string
	NodeName string
	Roles    []string
	// Prove adds to a complete request the proof that the token's join method asks for. Nil: the token is enough.
	Prove func(context.Context, *sallyportv1.JoinRequest) error
}

// Join asks to be let in and keeps the identity at path.
func Join(ctx context.Context, api Joiner, app Application, path string) (*Member, error) {
	key, public, err := ca.GenerateKeyPair()
	if err != nil {
		return nil, err
	}
	req := &sallyportv1.JoinRequest{
		Token: app.Token, HostId: app.HostID, NodeName: app.NodeName, Roles: app.Roles, PublicKey: public,
	}
	if app.Prove != nil {
		if err := app.Prove(ctx, req); err != nil {
			return nil, err
		}
	}
	res, err := api.Join(ctx, req)
	if err != nil {
		return nil, err
	}
	got := res.GetIdentity()
	trust, err := authapi.TrustOf(got.GetClusterName(), got.GetAuthorities())
	if err != nil {
		return nil, err
	}
	m := &Member{path: path}
	if err := m.set(key, got.GetCertificate(), trust); err != nil {
		return nil, err
	}
	return m, m.save()
}

const (
	renewCheck = time.Minute
	renewWait  = 30 * time.Second
)

// Run renews the certificate at half of its life until the context ends.
func (m *Member) Run(ctx context.Context, api Renewer, now func() time.Time, logger *slog.Logger) {
	ticker := time.NewTicker(renewCheck)
	defer ticker.Stop()
	kept := true // on disk, what is in use
	for {
		if now().After(m.renewAt()) {
			if err := m.renew(ctx, api); err != nil && ctx.Err() == nil {
				logger.Warn("certificate of this host was not renewed; trying again", "expires", m.Identity().Expires, "error", err)
			} else if err == nil {
				kept = false
			}
		}
		if !kept {
			err := m.save()
			if kept = err == nil; !kept {
				logger.Error("renewed certificate of this host cannot be kept on disk; trying again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (m *Member) renew(ctx context.Context, api Renewer) error {
	ctx, cancel := context.WithTimeout(ctx, renewWait)
	defer cancel()
	key, public, err := ca.GenerateKeyPair()
	if err != nil {
		return err
	}
	res, err := api.RenewHostCertificate(ctx, &sallyportv1.RenewHostCertificateRequest{PublicKey: public})
	if err != nil {
		return err
	}
	trust, err := authapi.TrustOf(res.GetIdentity().GetClusterName(), res.GetIdentity().GetAuthorities())
	if err != nil {
		return err
	}
	return m.set(key, res.GetIdentity().GetCertificate(), trust)
}
