package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/detour"
	"sallyport/internal/durable"
	"sallyport/internal/mtls"
	"sallyport/internal/terminal"
)

// keepWebCertificate writes the web certificate that the proxy shows now into a file, and returns its path. It is for clients that
// go on without TLS if they are not told to verify, where the person has said that any certificate will do: they accept this one and
// nothing else. It fails if such a client would miss the host's name in it, or the end of its chain.
func (a *account) keepWebCertificate(ctx context.Context, host string) (path string, err error) {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	conn, err := client.NewDialer(detour.Never, a.insecure).DialTLS(ctx, a.proxy, mtls.ToWeb("", a.insecure, mtls.ProtocolHTTP))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	chain := conn.ConnectionState().PeerCertificates
	trusted := x509.NewCertPool()
	var text []byte
	for _, cert := range chain {
		trusted.AddCert(cert)
		text = append(text, ca.EncodeCertificate(cert.Raw)...)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: trusted, CurrentTime: terminal.Now()}); err != nil {
		return "", err
	}
	if last := chain[len(chain)-1]; !bytes.Equal(last.RawIssuer, last.RawSubject) {
		return "", errors.New("the proxy does not show the authority of its certificate")
	}
	path = a.profile.WebCertificatePath()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("keeping the proxy's web certificate: %w", err)
	}
	return path, durable.WriteFile(path, text, 0o640)
}
