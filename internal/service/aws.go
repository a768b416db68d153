package service

import (
	"crypto/fips140"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/login"
	"sallyport/internal/aws/managedusers"
	"sallyport/internal/aws/metadata"
	"sallyport/internal/aws/roots"
)

// warnOnlyVariable lets discovered databases be served whose address is not the one that AWS tells.
const warnOnlyVariable = "TELEPORT_DATABASE_URL_CHECK_WARN_ON_ERROR"

// cloud is what an agent needs to serve databases in AWS. Nothing is asked of AWS, nor of the environment, before a
// database there is.
type cloud struct {
	credentials *credentials.Provider
	roots       *roots.Store
	managed     *managedusers.Keeper
	login       *login.Source
	metadata    *metadata.Describer
}

func (d *daemon) newCloud(logger *slog.Logger) *cloud {
	c := &cloud{
		credentials: d.awsCredentials(logger),
		roots:       roots.New(roots.Config{Dir: filepath.Join(d.cfg.DataDir, "aws-roots"), Client: &http.Client{}, Logger: logger, Now: d.now}),
	}
	c.managed = managedusers.New(managedusers.Config{Credentials: c.credentials, Cluster: d.member.Trust().Cluster, Logger: logger, Now: d.now})
	c.login = login.New(login.Config{Credentials: c.credentials, Roots: c.roots, Managed: c.managed, Now: d.now})
	c.metadata = metadata.New(metadata.Config{Credentials: c.credentials, WarnOnly: os.Getenv(warnOnlyVariable) == "true", Logger: logger})
	return c
}

// fips says that AWS is called at endpoints that are validated by FIPS 140: when a flag says so, or Go's cryptography runs
// in the mode of that name.
func (d *daemon) fips() bool { return d.cfg.FIPS || fips140.Enabled() }

// tellFIPS says what FIPS means here, and what not.
func (d *daemon) tellFIPS() {
	if d.fips() {
		d.logger.Warn("AWS is called at endpoints that are validated by FIPS 140; this program's own cryptography is not validated", "go_fips140", fips140.Enabled(), "go_module", fips140.Version())
	}
}

// awsCredentials are those that this process finds. Nothing is looked for before somebody needs them.
func (d *daemon) awsCredentials(logger *slog.Logger) *credentials.Provider {
	return credentials.New(credentials.Config{SessionName: "sallyport-" + d.hostID, FIPS: d.fips(), Logger: logger, Now: d.now})
}
