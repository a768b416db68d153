package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/durable"
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
	overwrite               bool
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
	_ = cmd.MarkFlagRequired("out")
	return cmd
}

func (f *signFlags) run(cmd *cobra.Command, g *global) error {
	switch {
	case f.format == "db" && f.host == "":
		return fault.New(fault.BadParameter, "name the database's host names or addresses with --host")
	case f.format != "db" && f.user == "":
		return fault.New(fault.BadParameter, "name a user with --user, or sign for a database with --format=db --host")
	case f.format == "db" && f.user != "":
		return fault.New(fault.BadParameter, "--format=db is for a database: give --host, not --user")
	}
	if err := f.confirm(cmd); err != nil {
		return err
	}
	api, err := g.connect()
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
		return f.write(cmd, map[string][]byte{"key": keyPEM, "crt": res.GetCertificate(), "cas": credentials.AuthoritiesPEM(ca.HostCA)})
	}
	data, err := credentials.Encode()
	if err != nil {
		return err
	}
	return f.write(cmd, map[string][]byte{"": data})
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
	if err := f.write(cmd, map[string][]byte{"key": keyPEM, "crt": res.GetCertificate(), "cas": cas}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), `
PostgreSQL, in postgresql.conf:

ssl = on
ssl_cert_file = '/path/to/%[1]s.crt'
ssl_key_file = '/path/to/%[1]s.key'
ssl_ca_file = '/path/to/%[1]s.cas'

and in pg_hba.conf, so that the certificate decides who comes in:

hostssl all all ::/0 cert
hostssl all all 0.0.0.0/0 cert

MySQL or MariaDB, in its configuration:

[mysqld]
require_secure_transport=ON
ssl-cert=/path/to/%[1]s.crt
ssl-key=/path/to/%[1]s.key
ssl-ca=/path/to/%[1]s.cas
`, f.out)
	return err
}

// files returns the paths of the parts, in the order in which they are shown.
func (f *signFlags) files() []string {
	if f.format == "file" {
		return []string{f.out}
	}
	return []string{f.out + ".key", f.out + ".crt", f.out + ".cas"}
}

// confirm asks before files are replaced.
func (f *signFlags) confirm(cmd *cobra.Command) error {
	if f.overwrite {
		return nil
	}
	var existing []string
	for _, path := range f.files() {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			existing = append(existing, path)
		}
	}
	if len(existing) == 0 {
		return nil
	}
	yes, err := terminal.Confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), strings.Join(existing, ", ")+" exist. Overwrite?")
	if err != nil || !yes {
		return fault.New(fault.AlreadyExists, "%s would be replaced; give --overwrite or another --out", strings.Join(existing, ", "))
	}
	return nil
}

func (f *signFlags) write(cmd *cobra.Command, parts map[string][]byte) error {
	for ending, data := range parts {
		path := f.out
		if ending != "" {
			path += "." + ending
		}
		if err := durable.WriteFile(path, data, 0o600); err != nil {
			return fault.Wrap(fault.BadParameter, err, "%s cannot be written: choose another --out", path)
		}
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "The credentials have been written to %s\n", strings.Join(f.files(), ", "))
	return err
}

// exports are the values of auth export --type.
var exports = map[string]ca.Type{"host": ca.HostCA, "tls-host": ca.HostCA, "user": ca.UserCA, "tls-user": ca.UserCA, "db": ca.DatabaseCA, "db-client": ca.ClientCA}

func exportCommand(g *global) *cobra.Command {
	var typ string
	var fingerprint string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print the certificate of an authority",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wanted, ok := exports[typ]
			if !ok {
				return fault.New(fault.BadParameter, "%q is not a type of authority; use one of host, user, db, db-client", typ)
			}
			api, err := g.connect()
			if err != nil {
				return err
			}
			defer api.Close()
			return export(cmd.Context(), cmd, api, wanted, fingerprint)
		},
	}
	cmd.Flags().StringVar(&typ, "type", "", "`type` of the authority: host, user, db or db-client (required)")
	cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "print only the certificate with this CA `pin`")
	_ = cmd.MarkFlagRequired("type")
	return cmd
}

func export(ctx context.Context, cmd *cobra.Command, api *authapi.Client, typ ca.Type, fingerprint string) error {
	res, err := api.Cluster.GetAuthorities(ctx, &sallyportv1.GetAuthoritiesRequest{})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(res.GetAuthorities(), func(a *sallyportv1.Authority) bool { return a.GetType() == string(typ) })
	if i < 0 {
		return fault.New(fault.NotFound, "the cluster has no %s authority", typ)
	}
	for _, pem := range res.GetAuthorities()[i].GetCertificates() {
		cert, err := ca.ParseCertificate(pem)
		if err != nil {
			return err
		}
		if fingerprint != "" && ca.Pin(cert) != fingerprint {
			continue
		}
		if _, err := cmd.OutOrStdout().Write(pem); err != nil {
			return err
		}
	}
	return nil
}
