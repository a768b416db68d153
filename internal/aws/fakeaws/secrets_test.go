package fakeaws_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"sallyport/internal/aws/fakeaws"
)

// overheard notes the Authorization of what goes by.
type overheard struct{ authorization []string }

func (o *overheard) RoundTrip(r *http.Request) (*http.Response, error) {
	o.authorization = append(o.authorization, r.Header.Get("Authorization"))
	return http.DefaultTransport.RoundTrip(r)
}

// TestWhatMustBeInNoLogIsRemembered: keys, tokens, signatures and identity documents, for those who search logs for them.
func TestWhatMustBeInNoLogIsRemembered(t *testing.T) {
	now := &clock{}
	c, agent := dataPlane(t, now)
	keys := agent.Session("i-1", time.Hour)
	remembered := func(what, secret string) {
		t.Helper()
		if len(secret) < 16 || !slices.Contains(c.Secrets(), secret) {
			t.Errorf("%s is not in the list of secrets: %q", what, secret)
		}
	}
	remembered("a secret key", keys.SecretAccessKey)
	remembered("a session token", keys.SessionToken)

	heard := &overheard{}
	config := c.config(keys)
	config.HTTPClient = &http.Client{Transport: heard}
	if _, err := sts.NewFromConfig(config).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); err != nil {
		t.Fatal(err)
	}
	_, signature, _ := strings.Cut(heard.authorization[0], "Signature=")
	remembered("the signature of a call", signature)

	token := recipe{service: "rds-db", region: "us-west-1", host: ordersHost, query: "Action=connect&DBUser=alice&X-Amz-Expires=900", at: now.Now()}.mint(t, keys)
	c.Verify(fakeaws.Login{Service: fakeaws.RDSConnect, Host: ordersHost, User: "alice", Token: token})
	remembered("a token", token)
	_, signature, _ = strings.Cut(token, "X-Amz-Signature=")
	remembered("the signature of a token", signature)

	_, client, _ := instance(t, c, fakeaws.MetadataV2Only)
	for _, name := range []string{"rsa2048", "pkcs7", "signature"} {
		out, err := client.GetDynamicData(t.Context(), &imds.GetDynamicDataInput{Path: "instance-identity/" + name})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(out.Content)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(body), "\n", "")
		remembered("the end of "+name, text[len(text)-336:])
	}
}
