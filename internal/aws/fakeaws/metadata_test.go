package fakeaws_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"sallyport/internal/aws/fakeaws"
)

// instance serves the metadata of an instance with a role.
func instance(t *testing.T, c *cloud, mode fakeaws.MetadataMode) (*fakeaws.Instance, *imds.Client, string) {
	t.Helper()
	role := addRole(t, c.account, "node", trusting(agentTrust))
	i := c.AddInstance(&fakeaws.Instance{Account: c.account, Role: role, Mode: mode, Tags: map[string]string{"Name": "db-agent"}})
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	client := imds.New(imds.Options{Endpoint: server.URL, ClientEnableState: imds.ClientEnabled, Retryer: aws.NopRetryer{},
		HTTPClient: server.Client(), DisableDefaultTimeout: true}) // the usual one has no patience with a busy machine
	return i, client, server.URL
}

func TestInstanceMetadata(t *testing.T) {
	for _, one := range []struct {
		mode         fakeaws.MetadataMode
		v1, v2, hang bool
	}{
		{fakeaws.MetadataBoth, true, true, false},
		{fakeaws.MetadataV2Only, false, true, false},
		{fakeaws.MetadataV1Only, true, true, false}, // the SDK falls back
		{fakeaws.MetadataHopLimit, false, false, true},
		{fakeaws.MetadataOff, false, false, false},
	} {
		t.Run("mode "+string(one.mode), func(t *testing.T) {
			c := newCloud(t, fakeaws.Config{})
			_, client, url := instance(t, c, one.mode)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			if !one.hang {
				ctx, cancel = context.WithCancel(t.Context())
			}
			defer cancel()
			credentials, err := ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = client }).Retrieve(ctx)
			if (err == nil) != one.v2 {
				t.Errorf("the SDK: %v", err)
			}
			if one.hang && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the answer should be missing, got %v", err)
			}
			if err == nil {
				keys := fakeaws.Keys{AccessKeyID: credentials.AccessKeyID, SecretAccessKey: credentials.SecretAccessKey, SessionToken: credentials.SessionToken}
				if arn, err := whoAmI(t.Context(), c.sts(keys)); err != nil || !strings.HasPrefix(arn, "arn:aws:sts::111111111111:assumed-role/node/i-") {
					t.Errorf("got %q, %v", arn, err)
				}
			}
			response, err := http.Get(url + "/latest/meta-data/iam/security-credentials/node")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if (response.StatusCode == http.StatusOK) != one.v1 {
				t.Errorf("version 1: %s", response.Status)
			}
		})
	}
}

func TestMetadataTokensExpireAndCredentialsRotate(t *testing.T) {
	now := &clock{}
	c := newCloud(t, fakeaws.Config{Now: now.Now})
	i, _, url := instance(t, c, fakeaws.MetadataV2Only)
	send := func(method, path string, header ...string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), method, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(header); n += 2 {
			request.Header.Set(header[n], header[n+1])
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	const ttl, header = "X-aws-ec2-metadata-token-ttl-seconds", "X-aws-ec2-metadata-token"
	for _, lifetime := range []string{"", "0", "21601", "x"} {
		if status, _ := send(http.MethodPut, "/latest/api/token", ttl, lifetime); status != http.StatusBadRequest {
			t.Errorf("a lifetime of %q: %d", lifetime, status)
		}
	}
	if status, _ := send(http.MethodPut, "/latest/api/token", ttl, "60", "X-Forwarded-For", "10.0.0.1"); status != http.StatusForbidden {
		t.Errorf("through a proxy: %d", status)
	}
	_, token := send(http.MethodPut, "/latest/api/token", ttl, "60")
	status, first := send(http.MethodGet, "/latest/meta-data/iam/security-credentials/node", header, token)
	if status != http.StatusOK {
		t.Fatal(status)
	}
	if _, again := send(http.MethodGet, "/latest/meta-data/iam/security-credentials/node", header, token); keyOf(t, again) != keyOf(t, first) {
		t.Error("credentials changed by themselves")
	}
	i.Rotate()
	if _, rotated := send(http.MethodGet, "/latest/meta-data/iam/security-credentials/node", header, token); keyOf(t, rotated) == keyOf(t, first) {
		t.Error("credentials did not rotate")
	}
	if status, tag := send(http.MethodGet, "/latest/meta-data/tags/instance/Name", header, token); status != http.StatusOK || tag != "db-agent" {
		t.Errorf("tag: %d %q", status, tag)
	}
	now.advance(61 * time.Second)
	if status, _ := send(http.MethodGet, "/latest/meta-data/instance-id", header, token); status != http.StatusUnauthorized {
		t.Errorf("with a token of a minute ago: %d", status)
	}
}

func keyOf(t *testing.T, document string) string {
	t.Helper()
	var keys struct{ AccessKeyID string }
	if err := json.Unmarshal([]byte(document), &keys); err != nil || keys.AccessKeyID == "" {
		t.Fatalf("%v in %q", err, document)
	}
	return keys.AccessKeyID
}

func TestInstanceIdentityIsSigned(t *testing.T) {
	c := newCloud(t, fakeaws.Config{})
	i, client, _ := instance(t, c, fakeaws.MetadataV2Only)
	get := func(name string) []byte {
		out, err := client.GetDynamicData(t.Context(), &imds.GetDynamicDataInput{Path: "instance-identity/" + name})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(out.Content)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	document := get("document")
	identity, err := client.GetInstanceIdentityDocument(t.Context(), nil)
	if err != nil || identity.AccountID != "111111111111" || identity.InstanceID != i.ID || identity.Region != "us-west-1" || identity.PendingTime.IsZero() {
		t.Errorf("got %+v, %v", identity, err)
	}
	certificate, err := c.IdentityCertificate()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(certificate)
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(get("signature")), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(document)
	if err := rsa.VerifyPKCS1v15(parsed.PublicKey.(*rsa.PublicKey), crypto.SHA256, digest[:], signature); err != nil {
		t.Errorf("signature: %v", err)
	}
	home := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, name := range []string{"rsa2048", "pkcs7"} {
		envelope := "-----BEGIN PKCS7-----\n" + string(get(name)) + "\n-----END PKCS7-----\n"
		verify := func(content string) ([]byte, error) {
			return exec.CommandContext(t.Context(), "/usr/bin/openssl", "smime", "-verify", "-inform", "PEM", "-in", write(name, []byte(content)),
				"-certfile", write("cert.pem", certificate), "-CAfile", write("ca.pem", certificate), "-purpose", "any", "-noverify", "-binary").Output()
		}
		out, err := verify(envelope)
		if err != nil || string(out) != string(document) {
			t.Errorf("%s: openssl says %v and gives %q", name, err, out)
		}
		raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(get(name)), "\n", ""))
		if err != nil {
			t.Fatal(err)
		}
		forged := strings.Replace(string(raw), "111111111111", "222222222222", 1)
		if _, err := verify("-----BEGIN PKCS7-----\n" + base64.StdEncoding.EncodeToString([]byte(forged)) + "\n-----END PKCS7-----\n"); err == nil {
			t.Errorf("%s: a forged document is found good", name)
		}
	}
}

func TestContainerCredentials(t *testing.T) {
	c := newCloud(t, fakeaws.Config{})
	role := addRole(t, c.account, "pod", trusting(`{"Service":"pods.eks.amazonaws.com"}`))
	server := httptest.NewServer(&fakeaws.Container{Role: role, Token: "the-token"})
	t.Cleanup(server.Close)
	retrieve := func(token string) (aws.Credentials, error) {
		return endpointcreds.New(server.URL+"/v1/credentials", func(o *endpointcreds.Options) {
			o.AuthorizationToken, o.Retryer = token, aws.NopRetryer{}
		}).Retrieve(t.Context())
	}
	if _, err := retrieve("another"); err == nil {
		t.Error("another token was accepted")
	}
	credentials, err := retrieve("the-token")
	if err != nil {
		t.Fatal(err)
	}
	arn, err := whoAmI(t.Context(), sts.NewFromConfig(c.config(fakeaws.Keys{AccessKeyID: credentials.AccessKeyID, SecretAccessKey: credentials.SecretAccessKey, SessionToken: credentials.SessionToken})))
	if err != nil || arn != "arn:aws:sts::111111111111:assumed-role/pod/container" {
		t.Errorf("got %q, %v", arn, err)
	}
	calls := c.Calls("container", "")
	if len(calls) != 2 || calls[0].Error == "" || calls[1].Error != "" {
		t.Errorf("journal: %+v", calls)
	}
}
