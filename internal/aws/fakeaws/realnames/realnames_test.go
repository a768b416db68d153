package realnames_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/realnames"
)

// world is served at its real names for the whole package.
var world *fakeaws.World

func TestMain(m *testing.M) {
	realnames.Main(m, func(n *realnames.Network) error {
		var err error
		if world, err = fakeaws.New(fakeaws.Config{}); err != nil {
			return err
		}
		names := map[string]string{}
		for _, name := range world.HostNames("us-west-1") {
			names[name] = "198.51.100.1"
		}
		return n.Hosts(fakeaws.Hosts(names))
	})
}

// TestTheSDKFindsAWSUnderItsOwnName uses neither an endpoint URL nor a dialer.
func TestTheSDKFindsAWSUnderItsOwnName(t *testing.T) {
	server, err := world.Serve(t.Context(), fakeaws.Listeners{HTTPS: []string{"198.51.100.1:443"}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	user, err := world.Account("aws", "111111111111").AddUser(fakeaws.User{Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	keys := user.CreateKeys()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: world.Authority().Pool()}}
	defer transport.CloseIdleConnections()
	out, err := sts.NewFromConfig(aws.Config{Region: "us-west-1", HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, "")}).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *out.Arn != "arn:aws:iam::111111111111:user/alice" {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestAddresses(t *testing.T) {
	for _, address := range []string{"198.51.100.77:5432", "203.0.113.200:443", "169.254.169.254:80", "127.0.0.9:81"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Error(err)
			continue
		}
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Error(err)
		} else {
			conn.Close()
		}
		listener.Close()
	}
}

func TestNothingLeadsOut(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, address := range []string{"192.0.2.1:443", "8.8.8.8:53"} {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			conn.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "unreachable") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if addresses, err := net.DefaultResolver.LookupHost(ctx, "sts.eu-west-1.amazonaws.com"); err == nil {
		t.Errorf("a name that was not given leads to %v", addresses)
	}
}

func TestTheMachineIsNotChanged(t *testing.T) {
	mounts, err := os.ReadFile("/proc/1/mountinfo")
	if err == nil && strings.Contains(string(mounts), "realnames-") {
		t.Error("the mounts can be seen outside")
	}
}
