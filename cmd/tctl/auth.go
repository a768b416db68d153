package main

import (
	"io"
	"slices"
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
		Use:   "sign --out=PATH (--user=NAME | --format=(db|mongodb|redis) --host=NAME[,NAME...])",
		Short: "Sign a certificate for a user or for a self-hosted database",
		Long: `Sign a certificate. For a user: --format=file writes one identity file, --format=tls writes PATH.key, PATH.crt and
PATH.cas. For a self-hosted database: --format=db writes PATH.key and PATH.crt, which the database presents, and
PATH.cas, which it must trust for the certificates that the Database Service presents; --format=mongodb writes the key
into PATH.crt, as MongoDB wants it; --format=redis writes the files of db. What to do with them is printed. Files are
readable by their owner only.`,
		Example: "  tctl auth sign --format=db --host=db.example.com --out=server --ttl=2190h\n" +
			"  tctl auth sign --format=mongodb --host=mongo.example.com,10.0.0.6 --out=server --ttl=2190h\n" +
			"  tctl auth sign --user=alice --out=alice.pem",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, g) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.out, "out", "o", "", "`path` to write to; a prefix for formats of several files (required)")
	terminal.FormatFlag(cmd, &f.format, "", "output `format`: file, tls, db, mongodb or redis", "file", "tls", "db", "mongodb", "redis")
	known := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if err := known(cmd, args); err != nil {
			return fault.Wrap(fault.BadParameter, err, "%s; db is for PostgreSQL, MySQL and MariaDB", fault.Message(err))
		}
		return nil
	}
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
	_, database := serverFormats[f.format]
	switch {
	case f.user != "" && f.host != "":
		return fault.New(fault.BadParameter, "give --user for a person's certificate or --host for a database's, not both")
	case !database && f.host != "":
		return fault.New(fault.BadParameter, "--host is for a database: give --format=db too")
	case !database && f.user == "":
		return fault.New(fault.BadParameter, "name a user with --user, or sign for a database with --format=db --host")
	case database && f.user != "":
		return fault.New(fault.BadParameter, "--format=%s is for a database: give --host, not --user", f.format)
	case database && f.host == "":
		return fault.New(fault.BadParameter, "name the database's host names or addresses with --host")
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
	if database {
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
	parts := []part{{".key", keyPEM}, {".crt", res.GetCertificate()}, {".cas", cas}}
	if serverFormats[f.format].together {
		parts = []part{{".crt", slices.Concat(res.GetCertificate(), keyPEM)}, {".cas", cas}}
	}
	if err := f.write(cmd, parts...); err != nil || f.tar {
		return err
	}
	_, err = io.WriteString(cmd.OutOrStdout(), f.advice())
	return err
}
