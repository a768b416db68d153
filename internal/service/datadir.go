package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sallyport/internal/ca"
	"sallyport/internal/config"
	"sallyport/internal/durable"
	"sallyport/internal/fault"
	"sallyport/internal/membership"
	"sallyport/internal/resource"
)

// openDataDir makes the data directory and checks that it can be used.
func (d *daemon) openDataDir() error {
	if err := os.MkdirAll(d.cfg.DataDir, 0o700); err != nil {
		return fault.Wrap(fault.BadParameter, err, "cannot make the data directory %s: %s; run as a user who may, or set teleport.data_dir to another place", d.cfg.DataDir, fault.Reason(err))
	}
	probe, err := os.CreateTemp(d.cfg.DataDir, ".probe*")
	if err != nil {
		return fault.Wrap(fault.BadParameter, err, "cannot write into the data directory %s: %s; run as its owner, or set teleport.data_dir to another place", d.cfg.DataDir, fault.Reason(err))
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return fmt.Errorf("checking data directory: %w", err)
	}
	info, err := os.Stat(d.cfg.DataDir)
	if err != nil {
		return fmt.Errorf("checking data directory: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		d.logger.Warn("others on this host can look into the data directory, which holds secrets; make it yours alone with chmod 700", "path", d.cfg.DataDir, "mode", fmt.Sprintf("%04o", mode))
	}
	d.hostID, err = membership.HostID(d.cfg.DataDir)
	return err
}

// writeAdmin writes the identity with which tctl on this host may do everything: key, certificate and
// host authorities as PEM, for the owner of the data directory only.
func (d *daemon) writeAdmin() error {
	_, cert, err := d.auth.authority.LocalIdentity(d.hostID, adminLifetime, resource.RoleAdmin)
	if err != nil {
		return err
	}
	key, err := x509Key(cert)
	if err != nil {
		return err
	}
	data := key
	for _, der := range cert.Certificate {
		data = append(data, ca.EncodeCertificate(der)...)
	}
	return durable.WriteFile(filepath.Join(d.cfg.DataDir, config.AdminFile), data, 0o600)
}

func (d *daemon) writeAuthAddress(address string) error {
	return durable.WriteFile(filepath.Join(d.cfg.DataDir, config.AddressFile), []byte(address+"\n"), 0o600)
}
