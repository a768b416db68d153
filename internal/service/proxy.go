package service

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/admission"
	"sallyport/internal/mux"
	"sallyport/internal/proxy"
	"sallyport/internal/version"
	"sallyport/internal/web"
)

// startProxy binds the proxy's ports and serves them.
func (d *daemon) startProxy(ctx, drain context.Context, group *errgroup.Group) (err error) {
	listener, err := listen(d.cfg.Proxy.ListenAddr, "proxy_service.web_listen_addr")
	if err != nil {
		return err
	}
	var mysql net.Listener
	defer func() {
		if err == nil {
			return
		}
		if err = errors.Join(err, listener.Close()); mysql != nil {
			err = errors.Join(err, mysql.Close())
		}
	}()
	public, mysqlPublic := d.publicAddr(listener), ""
	if d.cfg.Proxy.MySQL.ListenAddr != "" {
		if mysql, err = listen(d.cfg.Proxy.MySQL.ListenAddr, "proxy_service.mysql_listen_addr"); err != nil {
			return err
		}
		mysqlPublic = d.mysqlAddr(public, mysql)
	}
	certs, err := d.webCertificates(public)
	if err != nil {
		return err
	}
	logger := d.logger.With("component", "proxy")
	pages, err := web.New(web.Config{Auth: d.client, PublicAddr: public, MySQLAddr: mysqlPublic, EndToEndOnly: d.cfg.Proxy.EndToEndOnly, Version: version.Version, Strangers: d.cfg.StrangerCalls, Now: d.now, Logger: logger})
	if err != nil {
		return err
	}
	cfg := proxy.Config{
		HostID: d.hostID, Cluster: d.member.Trust().Cluster, Auth: d.client, HostCert: d.member.Certificate,
		WebCert: certs.get, Trust: d.member.Trust, Cache: d.cache, PassToAuth: d.passToAuth, Pages: pages, Logger: logger, Now: d.now,
		Limits: admission.Defaults(d.cfg.MaxConnections), EndToEndOnly: d.cfg.Proxy.EndToEndOnly, Balancers: d.cfg.Proxy.Balancers,
		HeadersFrom: d.cfg.Proxy.HeadersFrom, MySQLVersion: d.cfg.Proxy.MySQL.Version,
	}
	if d.agent != nil {
		cfg.Local = d.agent
	}
	d.proxy, d.webCerts = proxy.New(cfg), certs
	group.Go(func() error { return d.proxy.Serve(ctx, drain, listener, mysql) })
	group.Go(func() error { d.announceProxy(ctx, public); return nil })
	group.Go(func() error { certs.run(ctx, d.cfg.Proxy.KeyPairsReload, d.reload); return nil })
	logger.Info("proxy is listening", "address", listener.Addr().String(), "public_address", public)
	if mysql != nil {
		logger.Info("proxy is listening for clients of MySQL", "address", mysql.Addr().String(), "public_address", mysqlPublic)
	}
	return nil
}

// passToAuth gives a connection to the auth server, here or elsewhere.
func (d *daemon) passToAuth(ctx context.Context, conn *mux.Conn, visitor *admission.Visitor) {
	if d.auth != nil {
		client, err := d.auth.authority.Introduced(ctx, conn) // by another proxy that comes through this one
		if err == nil {
			err = visitor.ComesFrom(client.RemoteAddr().String())
		}
		if err != nil {
			d.logger.Debug("connection refused", "client", conn.RemoteAddr().String(), "error", err)
			_ = conn.Close()
			return
		}
		d.auth.accepted.Hand(visitor.Own(client, strangersStay))
		return
	}
	// The handshake is not seen here; auth has closed the connections of strangers by then.
	known := time.AfterFunc(2*strangersStay, visitor.Known)
	defer known.Stop()
	d.spliceToAuth(ctx, conn)
}
