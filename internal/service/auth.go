package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/audit"
	"sallyport/internal/audit/eventlog"
	"sallyport/internal/auth"
	"sallyport/internal/authapi"
	"sallyport/internal/membership"
	"sallyport/internal/mux"
	"sallyport/internal/seal"
	"sallyport/internal/store"
	"sallyport/internal/store/sqlite"
	"sallyport/internal/version"
)

const (
	adminLifetime = 24 * time.Hour
	localLifetime = 24 * time.Hour
	reissueEvery  = time.Hour
	runAgainAfter = 5 * time.Second

	// strangersStay is how long a connection to the API may stay open whose client shows no certificate.
	strangersStay = 30 * time.Second
)

// authService is the authority in this process.
type authService struct {
	authority *auth.Authority
	handler   http.Handler
	accepted  *mux.Listener // all connections to the API: from its own port, and from the proxy
	listening net.Listener
	address   string
}

// openAuth opens the cluster that the data directory holds, or makes one.
func (d *daemon) openAuth(ctx, base context.Context, group *errgroup.Group) error {
	logger := d.logger.With("component", "auth")
	aws, err := d.authOfAWS(logger)
	if err != nil {
		return err
	}
	dir := d.cfg.Storage.Path
	if dir == "" {
		dir = filepath.Join(d.cfg.DataDir, "backend")
	}
	storePath := filepath.Join(dir, "sqlite.db")
	_, err = os.Stat(storePath)
	newStore := errors.Is(err, fs.ErrNotExist)
	if err != nil && !newStore {
		return fmt.Errorf("looking for the store: %w", err)
	}
	rootKey := filepath.Join(d.cfg.DataDir, "keys", "root.key")
	sealer, created, err := seal.Open(rootKey, newStore)
	if err != nil {
		return err
	}
	if created {
		logger.Info("made the key that seals secrets in the store; keep a copy of it in a safe place", "path", rootKey)
	} else {
		logger.Info("secrets in the store are sealed with a key in a file", "path", rootKey)
	}
	state, err := sqlite.Open(ctx, storePath, d.cfg.Storage.Sync, d.now)
	if err != nil {
		return err
	}
	cluster, err := d.clusterName(ctx, state)
	if err != nil {
		return errors.Join(err, state.Close())
	}
	log, err := eventlog.Open(ctx, eventlog.Config{
		Dir: filepath.Join(d.cfg.DataDir, "log"), HostID: d.hostID, Now: d.now, Log: logger,
		Encoder: audit.NewEncoder(cluster, audit.NewUIDs(rand.Reader)),
	})
	if err != nil {
		return errors.Join(err, state.Close())
	}
	authority, err := auth.New(ctx, auth.Config{
		Store: state, Sealer: sealer, Log: log, ClusterName: cluster, HostID: d.hostID, Version: version.Version,
		Now: d.now, Logger: logger, Settings: d.cfg.Auth.Settings, StaticTokens: d.cfg.Auth.StaticTokens,
		Bootstrap: d.cfg.Auth.Bootstrap, Startup: d.cfg.Auth.Startup, Strangers: d.cfg.StrangerCalls, AWS: aws,
	})
	if err != nil {
		return errors.Join(err, log.Close(), state.Close())
	}
	d.auth = &authService{authority: authority, handler: authority.Handler()}
	group.Go(func() error {
		err := runAll(base, d.again("store", state.Run), d.again("audit log", log.Run), d.again("authority", authority.Run))
		return errors.Join(err, log.Close(), state.Close())
	})
	return nil
}

// clusterName returns the name of the cluster in the store, or that of the cluster to be made.
func (d *daemon) clusterName(ctx context.Context, state store.Store) (string, error) {
	configured := d.cfg.Auth.ClusterName
	stored, err := auth.StoredClusterName(ctx, state)
	switch {
	case err != nil:
		return "", err
	case stored != "":
		if configured != "" && configured != stored {
			d.logger.Warn("cluster_name in the configuration is ignored: a cluster keeps its first name", "configured", configured, "cluster", stored)
		}
		return stored, nil
	default:
		return d.cfg.NewClusterName(), nil
	}
}

// again returns a function that runs a part until the context ends, also after failures, which it logs: a disk
// that is full for a moment must not leave the part standing still.
func (d *daemon) again(part string, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			err := run(ctx)
			if ctx.Err() != nil {
				return nil
			}
			d.logger.Error("a part of the auth service failed; running it again", "part", part, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(runAgainAfter):
			}
		}
	}
}

// runAll runs things until the context ends.
func runAll(ctx context.Context, things ...func(context.Context) error) error {
	errs := make([]error, len(things))
	var wg sync.WaitGroup
	for i, run := range things {
		wg.Go(func() { errs[i] = run(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// localMember makes this process's own identity, which is renewed without anybody's help, and the
// administrator's for tctl on this host.
func (d *daemon) localMember(base context.Context, group *errgroup.Group) error {
	a := d.auth.authority
	id, cert, err := a.LocalIdentity(d.hostID, localLifetime, d.roles...)
	if err != nil {
		return err
	}
	d.member = membership.New(id, cert, a.Trust())
	if err := d.writeAdmin(); err != nil {
		return err
	}
	local, client := authapi.NewLocal(d.auth.handler, id)
	d.client = client
	group.Go(func() error {
		defer local.Close()
		ticker := time.NewTicker(reissueEvery)
		defer ticker.Stop()
		for {
			select {
			case <-base.Done():
				return nil
			case <-ticker.C:
				d.reissueLocal(local)
			}
		}
	})
	return nil
}

func (d *daemon) reissueLocal(local *authapi.Local) {
	id, cert, err := d.auth.authority.LocalIdentity(d.hostID, localLifetime, d.roles...)
	if err == nil {
		d.member.Replace(membership.New(id, cert, d.auth.authority.Trust()))
		local.SetIdentity(id)
		err = d.writeAdmin()
	}
	if err != nil {
		d.logger.Error("own certificate was not renewed", "error", err)
	}
}
