package session

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
	"sallyport/internal/mtls"
	"sallyport/internal/resource"
)

// tlsConfig says how the database's certificate is checked and what we show.
func tlsConfig(db *resource.Database, address string, credential *cred.Credential) (*tls.Config, error) {
	settings := db.Spec.TLS
	check := mtls.UpstreamCheck{Roots: x509.NewCertPool(), ServerName: settings.ServerName}
	if bool(settings.TrustSystemCertPool) || credential.SystemAuthorities {
		system, err := x509.SystemCertPool()
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "the agent cannot read the system's certificate authorities")
		}
		check.Roots = system
	}
	for _, authority := range credential.Authorities {
		check.Roots.AddCert(authority)
	}
	for _, pem := range []string{settings.CACert, db.Spec.CACert} {
		if pem != "" && !check.Roots.AppendCertsFromPEM([]byte(pem)) {
			return nil, fault.New(fault.BadParameter, "tls.ca_cert of database %q holds no certificate; put a PEM certificate there", db.GetName())
		}
	}
	if check.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fault.Wrap(fault.BadParameter, err, "the uri of database %q is not host:port", db.GetName())
		}
		check.ServerName = host
	}
	switch settings.Mode {
	case resource.TLSVerifyCA:
		check.SkipName = true
	case resource.TLSInsecure:
		check.AcceptAnything = true
	}
	return mtls.Upstream(check, credential.Certificate), nil
}

// Service names the service of AWS that the database is of, as AWS writes it; "" for databases of one's own.
func (u *Upstream) Service() string {
	if !u.way.database.InAWS() {
		return ""
	}
	return endpoint.Type(u.way.database.Type()).Title()
}

// StartTLS does the TLS handshake on the connection, which both sides must have agreed on already. What
// goes wrong comes back in words to act on.
func (u *Upstream) StartTLS(ctx context.Context) (*tls.Conn, error) {
	conn := tls.Client(u.Conn, u.way.tls)
	err := conn.HandshakeContext(ctx)
	if err != nil {
		err = u.way.explainTLS(err)
	}
	if u.way.shaken != nil {
		u.way.shaken(conn, err)
	}
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// Explain puts an error of a connection from StartTLS into words, if it is what the database's TLS has
// against our certificate: since TLS 1.3 that comes after the handshake. Other errors come back as they are.
func (u *Upstream) Explain(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return u.way.explainTLS(err)
	}
	return err
}

func (w *way) explainTLS(err error) error {
	name := w.database.GetName()
	text := err.Error()
	hostname, isHostname := errors.AsType[x509.HostnameError](err)
	switch db := w.database; {
	case strings.Contains(text, "legacy Common Name") && db.InAWS():
		return fault.Wrap(fault.ConnectionProblem, err, "x509: certificate relies on legacy Common Name field, use SANs instead: the certificate of database %q is from before July 2020; rotate it to a current authority, in the AWS console under \"Certificate authority\" of the instance", name)
	case errors.As(err, new(x509.UnknownAuthorityError)) && db.InAWS():
		from := "the authorities in tls.ca_cert"
		if w.authorities != "" {
			from = w.authorities
		}
		return fault.Wrap(fault.ConnectionProblem, err, "Database service cannot validate database's certificate: x509: certificate signed by unknown authority: it is from none of %s; give a newer bundle in tls.ca_cert_file of database %q, and check that nothing between agent and database ends TLS", from, name)
	case strings.Contains(text, "legacy Common Name"):
		return fault.Wrap(fault.ConnectionProblem, err, "x509: certificate relies on legacy Common Name field, use SANs instead: give database %q a certificate with subject alternative names", name)
	case isHostname && db.InAWS():
		return fault.Wrap(fault.ConnectionProblem, err, "Database service cannot validate database's certificate: %s: let the agent describe database %q in AWS, where it learns the name in the certificate, or set tls.server_name to that", hostname.Error(), name)
	case isHostname:
		return fault.Wrap(fault.ConnectionProblem, err, "the certificate of database %q is for another name than %q; set tls.server_name to a name in the certificate, or give the database a certificate for this one", name, hostname.Host)
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return fault.Wrap(fault.ConnectionProblem, err, "Database service cannot validate database's certificate: it is signed by an unknown authority; set tls.%s of database %q, or sign its certificate with tctl auth sign --format=db", authorityKey(db), name)
	case expired(err):
		return fault.Wrap(fault.ConnectionProblem, err, "Connection Failure. Database service could not validate database's certificate: the certificate of %q has expired or is not yet valid; renew it, and compare the clocks of agent and database", name)
	case strings.Contains(text, "unknown certificate authority"), strings.Contains(text, "certificate required"), strings.Contains(text, "bad certificate"):
		return fault.Wrap(fault.ConnectionProblem, err, "Database cannot validate client certificate generated by database service: %s; give database %q the authority from tctl auth sign --format=db (its .cas file)", text, name)
	case db.Type() == resource.TypeDocumentDB && speaksNoTLS(err):
		return fault.Wrap(fault.ConnectionProblem, err, "the TLS handshake with database %q failed: %s: TLS is switched off in the cluster's parameter group (set tls to enabled there, and reboot its instances), or its uri leads to something else", name, text)
	case speaksNoTLS(err):
		what := "hung up" // as also one does that has its own reasons
		if errors.As(err, new(tls.RecordHeaderError)) {
			what = "does not speak TLS"
		}
		return fault.Wrap(fault.ConnectionProblem, err, "the TLS handshake with database %q failed: %s: what is there %s; check that its uri leads to a server that speaks %s, and to its port for TLS, and look into its log", name, text, what, db.Spec.Protocol)
	default:
		return fault.Wrap(fault.ConnectionProblem, err, "the TLS handshake with database %q failed: %s", name, text)
	}
}

// speaksNoTLS reports whether what is at the other end hung up on a ClientHello, or answered it with something else.
func speaksNoTLS(err error) bool {
	return errors.As(err, new(tls.RecordHeaderError)) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

func expired(err error) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == x509.Expired
}

// authorityKey is where the database's authority is written: in the configuration file by its file, elsewhere as it is.
func authorityKey(db *resource.Database) string {
	if db.Origin() == resource.OriginConfigFile {
		return "ca_cert_file"
	}
	return "ca_cert"
}
