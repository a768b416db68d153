package awsjoin

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sallyport/internal/aws/endpoint"
)

// Certificates is the directory in which the certificates lie with which EC2 signs identity documents: us-west-2.pem holds
// those of us-west-2. Files are read when they are needed, so that new ones count at once. "" has none.
type Certificates string

// For returns the certificates of a region. Without any it returns a *Refusal.
func (c Certificates) For(region string) ([]*x509.Certificate, error) {
	if c == "" || !endpoint.IsRegion(region) { // the region becomes the name of a file
		return nil, refuse("there are no certificates of identity documents: set auth_service.ec2_identity_certificates")
	}
	path := filepath.Join(string(c), region+".pem")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse("there is no certificate of region %s: %s does not exist", region, path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of region %s: %w", region, err)
	}
	return parseCertificates(path, text)
}

// Check returns what is wrong with the directory, so that it is told at the start and not when a host joins.
func (c Certificates) Check() error {
	entries, err := os.ReadDir(string(c))
	if err != nil {
		return err
	}
	found := false
	for _, entry := range entries {
		region, ok := strings.CutSuffix(entry.Name(), ".pem")
		if !ok {
			continue
		}
		if !endpoint.IsRegion(region) {
			return fmt.Errorf("%s is not named after a region, as in us-west-2.pem", filepath.Join(string(c), entry.Name()))
		}
		if _, err := c.For(region); err != nil {
			return err
		}
		found = true
	}
	if !found {
		return fmt.Errorf("%s holds no certificate; save those of your regions in it, as in us-west-2.pem", string(c))
	}
	return nil
}

func parseCertificates(path string, text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err == nil {
			err = checkCertificate(cert)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, cert)
	}
	if len(all) == 0 || len(strings.TrimSpace(string(text))) > 0 {
		return nil, fmt.Errorf("%s holds something else than certificates in PEM", path)
	}
	return all, nil
}
