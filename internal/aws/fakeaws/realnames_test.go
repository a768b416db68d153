package fakeaws_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/memorydb"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"sallyport/internal/aws/fakeaws"
)

// realNames is a cloud that answers under the names of AWS, with a client that is led to it whatever the name.
func realNames(t *testing.T) (world *fakeaws.World, client *http.Client, dialled *[]string) {
	t.Helper()
	world, err := fakeaws.New(fakeaws.Config{})
	if err != nil {
		t.Fatal(err)
	}
	world.Add(toys()...)
	server, err := world.Serve(t.Context(), fakeaws.Listeners{HTTPS: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	address := strings.TrimPrefix(server.URL, "https://")
	dialled = new([]string)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: world.Authority().Pool()},
		DialContext: func(ctx context.Context, network, wanted string) (net.Conn, error) {
			*dialled = append(*dialled, wanted)
			return new(net.Dialer).DialContext(ctx, network, address)
		}}
	t.Cleanup(transport.CloseIdleConnections)
	return world, &http.Client{Transport: transport}, dialled
}

func TestRealNames(t *testing.T) {
	for _, one := range []struct {
		partition, region, name string
		fips                    bool
		call                    func(context.Context, aws.Config) error
		code                    string
	}{
		{"aws", "us-west-1", "sts.us-west-1.amazonaws.com", false, callSTS(""), ""},
		{"aws", "us-west-1", "sts-fips.us-west-1.amazonaws.com", true, callSTS("https://sts-fips.us-west-1.amazonaws.com"), ""},
		{"aws-cn", "cn-north-1", "sts.cn-north-1.amazonaws.com.cn", false, callSTS(""), ""},
		{"aws-us-gov", "us-gov-west-1", "sts.us-gov-west-1.amazonaws.com", false, callSTS(""), ""},
		{"aws", "eu-west-1", "iam.amazonaws.com", false, callIAM, ""},
		{"aws-cn", "cn-northwest-1", "iam.cn-north-1.amazonaws.com.cn", false, callIAM, ""},
		{"aws-us-gov", "us-gov-east-1", "iam.us-gov.amazonaws.com", false, callIAM, ""},
		{"aws", "us-west-1", "memory-db.us-west-1.amazonaws.com", false, callMemoryDB(""), ""},
		{"aws", "us-west-1", "sts.us-west-2.amazonaws.com", false, callSTS("https://sts.us-west-2.amazonaws.com"), "SignatureDoesNotMatch"},
		{"aws", "us-west-1", "rds.us-west-1.amazonaws.com", false, callMemoryDB("https://rds.us-west-1.amazonaws.com"), "InvalidSignatureException"},
		{"aws", "us-west-1", "sts.us-west-1.amazonaws.com.cn", false, callSTS("https://sts.us-west-1.amazonaws.com.cn"), "SignatureDoesNotMatch"},
	} {
		t.Run(one.name, func(t *testing.T) {
			world, client, dialled := realNames(t)
			user := addUser(t, world.Account(one.partition, "111111111111"), "alice", everything)
			keys := user.CreateKeys()
			config := aws.Config{Region: one.region, HTTPClient: client, RetryMaxAttempts: 1,
				Credentials: credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, "")}
			if got := code(t, one.call(t.Context(), config)); got != one.code {
				t.Errorf("got %q", got)
			}
			if (*dialled)[0] != one.name+":443" {
				t.Errorf("dialled %v", *dialled)
			}
			if host := world.Journal()[0].Host; host != one.name {
				t.Errorf("the journal says %q", host)
			}
		})
	}
}

func callSTS(endpoint string) func(context.Context, aws.Config) error {
	return func(ctx context.Context, config aws.Config) error {
		_, err := sts.NewFromConfig(config, func(o *sts.Options) {
			if endpoint != "" {
				o.BaseEndpoint = &endpoint
			}
		}).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		return err
	}
}

func callIAM(ctx context.Context, config aws.Config) error {
	_, err := iam.NewFromConfig(config).GetUser(ctx, &iam.GetUserInput{})
	return err
}

func callMemoryDB(endpoint string) func(context.Context, aws.Config) error {
	return func(ctx context.Context, config aws.Config) error {
		_, err := memorydb.NewFromConfig(config, func(o *memorydb.Options) {
			if endpoint != "" {
				o.BaseEndpoint = &endpoint
			}
		}).DescribeSnapshots(ctx, &memorydb.DescribeSnapshotsInput{})
		return err
	}
}

func TestCertificates(t *testing.T) {
	now := &clock{}
	world, err := fakeaws.New(fakeaws.Config{Now: now.Now})
	if err != nil {
		t.Fatal(err)
	}
	authority := world.Authority()
	verify := func(certificate *tls.Certificate, name string) error {
		leaf, err := x509.ParseCertificate(certificate.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		_, err = leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: authority.Pool(), CurrentTime: now.Now()})
		return err
	}
	const name = "orders.cluster-abcdef012345.us-west-1.rds.amazonaws.com"
	issued, err := authority.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(issued, name); err != nil {
		t.Error(err)
	}
	for _, look := range []string{"x.rds.amazonaws.com.evil.test", "example.com", "amazonaws.com.evil"} {
		if _, err := authority.GetCertificate(&tls.ClientHelloInfo{ServerName: look}); err == nil {
			t.Errorf("a certificate for %s", look)
		}
	}
	legacy, err := authority.Issue(fakeaws.Names{CommonName: name})
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(legacy, name); err == nil || !strings.Contains(err.Error(), "legacy Common Name") {
		t.Errorf("a legacy certificate: %v", err)
	}
	now.advance(91 * 24 * time.Hour)
	if err := verify(issued, name); err == nil {
		t.Error("certificates never expire")
	}
}

func TestHostNames(t *testing.T) {
	world, err := fakeaws.New(fakeaws.Config{})
	if err != nil {
		t.Fatal(err)
	}
	names := world.HostNames("us-west-1", "cn-north-1", "us-gov-west-1")
	for _, want := range []string{"sts.us-west-1.amazonaws.com", "iam.amazonaws.com", "sts.cn-north-1.amazonaws.com.cn", "iam.us-gov.amazonaws.com", "sts-fips.us-west-1.amazonaws.com"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing in %v", want, names)
		}
	}
	if text := fakeaws.Hosts(map[string]string{"b": "127.0.0.2", "a": "127.0.0.2"}); !strings.Contains(text, "127.0.0.2 a\n127.0.0.2 b\n") || !strings.Contains(text, "127.0.0.1 localhost\n") {
		t.Errorf("got %q", text)
	}
}
