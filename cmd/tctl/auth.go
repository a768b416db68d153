package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

func authCommand(g *global) *cobra.Command {
	cmd := &cobra.Command{Use: "auth", Short: "Sign certificates and export authorities"}
	cmd.AddCommand(signCommand(g), exportCommand(g))
	return cmd
}

// signFlags are those of auth sign.
type signFlags struct {
	out, format, user, host string
	ttl                     time.Duration
	overwrite, tar          bool
	proxy, compat           string // accepted
	service, dbUser, dbName string
}

func signCommand(g *global) *cobra.Command {
	f := &signFlags{}
	cmd := &cobra.Command{
		Use:   "sign --out=PATH (--user=NAME | --format=db --host=NAME[,NAME...])",
		Short: "Sign a certificate for a user or for a self-hosted database",
		Long: `Sign a certificate. For a user: --format=file writes one identity file, --format=tls writes PATH.key, PATH.crt and
PATH.cas. For a self-hosted database: --format=db writes PATH.key and PATH.crt, which the database presents, and
PATH.cas, which it must trust for the certificates that the Database Service presents. Files are readable by
their owner only.`,
		Example: "  tctl auth sign --format=db --host=db.example.com --out=server --ttl=2190h\n" +
			"  tctl auth sign --user=alice --out=alice.pem",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, g) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.out, "out", "o", "", "`path` to write to; a prefix for formats of several files (required)")
	terminal.FormatFlag(cmd, &f.format, "", "output `format`: file, tls or db", "file", "tls", "db")
	flags.StringVar(&f.user, "user", "", "`name` of the user to sign for")
	flags.StringVar(&f.host, "host", "", "`names` and addresses of the database, comma-separated")
	flags.DurationVar(&f.ttl, "ttl", 12*time.Hour, "how long the certificate is valid, a `duration`")
	flags.BoolVar(&f.overwrite, "overwrite", false, "replace files without asking")
	flags.StringVar(&f.service, "db-service", "", "`database` that the user's certificate is for")
	flags.StringVar(&f.dbUser, "db-user", "", "database `account` of --db-service")
	flags.StringVar(&f.dbName, "db-name", "", "database `name` of --db-service")
	flags.BoolVar(&f.tar, "tar", false, "write the files as a tar archive to standard output; --out names them in it")
	flags.StringVar(&f.proxy, "proxy", "", "accepted, without effect: `address` of the proxy in files of other formats")
	flags.StringVar(&f.compat, "compat", "", "accepted, without effect: `version` of programs that read the files")
	_ = cmd.MarkFlagRequired("out")
	return cmd
}

func (f *signFlags) run(cmd *cobra.Command, g *global) error {
	switch {
	case f.user != "" && f.host != "":
		return fault.New(fault.BadParameter, "give --user for a person's certificate or --host for a database's, not both")
	case f.format == "db" && f.host == "":
		return fault.New(fault.BadParameter, "name the database's host names or addresses with --host")
	case f.format != "db" && f.host != "":
		return fault.New(fault.BadParameter, "--host is for a database: give --format=db too")
	case f.format != "db" && f.user == "":
		return fault.New(fault.BadParameter, "name a user with --user, or sign for a database with --format=db --host")
	case f.format == "db" && f.user != "":
		return fault.New(fault.BadParameter, "--format=db is for a database: give --host, not --user")
	}
	if err := f.confirm(cmd); err != nil {
		return err
	}
	api, err := g.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer api.Close()
	key, public, err := ca.GenerateKeyPair()
	if err != nil {
		return err
	}
	keyPEM, err := ca.EncodeKey(key)
	if err != nil {
		return err
	}
	if f.format == "db" {
		return f.signDatabase(cmd, api, keyPEM, public)
	}
	res, err := api.Certificates.SignUserCertificate(cmd.Context(), f.userRequest(public))
	if err != nil {
		return err
	}
	trust, err := authapi.TrustOf(res.GetClusterName(), res.GetAuthorities())
	if err != nil {
		return err
	}
	credentials, err := client.NewCredentials(key, res.GetCertificate(), trust)
	if err != nil {
		return err
	}
	if f.format == "tls" {
		return f.write(cmd, part{".key", keyPEM}, part{".crt", res.GetCertificate()}, part{".cas", credentials.AuthoritiesPEM(ca.HostCA)})
	}
	data, err := credentials.Encode()
	if err != nil {
		return err
	}
	return f.write(cmd, part{"", data})
}

func (f *signFlags) userRequest(public []byte) *sallyportv1.SignUserCertificateRequest {
	req := &sallyportv1.SignUserCertificateRequest{User: f.user, PublicKey: public, Ttl: durationpb.New(f.ttl)}
	if f.service != "" {
		req.Route = &sallyportv1.DatabaseRoute{Service: f.service, User: f.dbUser, Database: f.dbName}
	}
	return req
}

func (f *signFlags) signDatabase(cmd *cobra.Command, api *authapi.Client, keyPEM, public []byte) error {
	var hosts []string
	for _, host := range strings.Split(f.host, ",") {
		hosts = append(hosts, strings.TrimSpace(host))
	}
	res, err := api.Certificates.SignDatabaseServerCertificate(cmd.Context(), &sallyportv1.SignDatabaseServerCertificateRequest{
		Hosts: hosts, PublicKey: public, Ttl: durationpb.New(f.ttl),
	})
	if err != nil {
		return err
	}
	var cas []byte
	for _, pem := range res.GetClientAuthorities() {
		cas = append(cas, pem...)
	}
	if err := f.write(cmd, part{".key", keyPEM}, part{".crt", res.GetCertificate()}, part{".cas", cas}); err != nil || f.tar {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), `
PostgreSQL, in postgresql.conf:

ssl = on
ssl_cert_file = '%[1]s.crt'
ssl_key_file = '%[1]s.key'
ssl_ca_file = '%[1]s.cas'

and in pg_hba.conf, so that the certificate decides who comes in:

hostssl all all ::/0 cert
hostssl all all 0.0.0.0/0 cert

MySQL or MariaDB, in its configuration:

[mysqld]
require_secure_transport=ON
ssl-cert=%[1]s.crt
ssl-key=%[1]s.key
ssl-ca=%[1]s.cas

MongoDB, in mongod.conf, after cat %[2]s.crt %[2]s.key > %[2]s.pem:

net:
  tls:
    mode: requireTLS
    certificateKeyFile: %[1]s.pem
    CAFile: %[1]s.cas
security:
  authorization: enabled
setParameter:
  authenticationMechanisms: SCRAM-SHA-256,MONGODB-X509

Redis or Valkey, in redis.conf, with port 0 so that there is no way without TLS:

port 0
tls-port 6379
tls-cert-file %[1]s.crt
tls-key-file %[1]s.key
tls-ca-cert-file %[1]s.cas
tls-auth-clients yes
`, f.placed(), f.out)
	return err
}

// placed is --out as the database's configuration names it: the files are for another host, unless their
// path says where.
func (f *signFlags) placed() string {
	if filepath.IsAbs(f.out) {
		return f.out
	}
	return "/path/to/" + f.out
}
