package dataplane

import (
	"context"
	"crypto/rand"
	"fmt"
)

// startMariaDB starts a MariaDB that clients talk to themselves. It asks for passwords as they are and has PAM verify them.
func (p *Plane) startMariaDB(ctx context.Context, config Config) error {
	if config.Authentication != "" && config.Authentication != PAM {
		return fmt.Errorf("MariaDB cannot have passwords verified by %s", config.Authentication)
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	server := mariadbConfig{Address: address, Settings: []string{"plugin-load-add=auth_pam_v1.so", "loose-pam-use-cleartext-plugin=ON"}}
	if config.Certificate != nil {
		if server.Certificate, server.Key, err = encodeCertificate(config.Certificate); err != nil {
			return err
		}
	}
	if server.Env, err = p.preparePAM(config, nil); err != nil {
		return err
	}
	if err := p.runMariaDB(ctx, &mariadb{as: byPAM, endpoints: len(config.Endpoints)}, server, config.Setup); err != nil {
		return err
	}
	return p.relayTo(ctx, config.Endpoints, address)
}

// startMyFront starts a front that is RDS Proxy, or RDS or Aurora for MySQL, at login, and a MariaDB behind it.
func (p *Plane) startMyFront(ctx context.Context, config Config) error {
	front := myFront{certificate: config.Certificate, method: myNative}
	behind := &mariadb{}
	switch config.Kind {
	case RDS:
		password := rand.Text()
		behind.as = "IDENTIFIED BY '" + password + "'"
		front.clear, front.open = accessDenied, openRDS(config, password)
	case Proxy:
		front.clear, front.open = proxyNeedsTLS, openMyProxy(config)
	default:
		return fmt.Errorf("no kind of database %q with %s", config.Kind, config.Engine)
	}
	if config.Engine == MySQL {
		front.version = "8.0.35"
	}
	if err := p.runMariaDB(ctx, behind, mariadbConfig{}, config.Setup); err != nil {
		return err
	}
	front.backend = behind.dial
	for _, endpoint := range config.Endpoints {
		f := front
		f.endpoint = endpoint
		if err := p.listen(ctx, endpoint, f.serve); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plane) runMariaDB(ctx context.Context, server *mariadb, config mariadbConfig, setup string) error {
	p.server = server
	if err := server.start(ctx, config); err != nil {
		return err
	}
	_, err := server.exec(ctx, "mysql", setup)
	return err
}
