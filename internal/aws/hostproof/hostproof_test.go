package hostproof_test

import (
	"testing"
	"time"

	"sallyport/internal/aws/awsjoin"
	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/hostproof"
	"sallyport/internal/fault"
)

func TestWhatHostsSignIsWhatAuthChecks(t *testing.T) {
	cloud := cloudtest.New(t, nil)
	for _, one := range []struct{ region, fips, host string }{
		{"us-west-1", "", "sts.us-west-1.amazonaws.com"}, {"us-east-2", "true", "sts-fips.us-east-2.amazonaws.com"}, {"xx-new-1", "false", "sts.us-east-1.amazonaws.com"},
	} {
		t.Setenv("AWS_REGION", one.region)
		t.Setenv("AWS_USE_FIPS_ENDPOINT", one.fips)
		signed, err := hostproof.Maker{Credentials: cloud.Provider(), Now: time.Now}.IAM(t.Context(), "binding")
		if err != nil || signed.Host != one.host {
			t.Fatalf("%s: %+v, %v", one.region, signed, err)
		}
		sts := awsjoin.NewSTS(cloud)
		if caller, err := sts.Caller(t.Context(), signed, "binding"); err != nil || caller.ARN != "arn:aws:sts::111111111111:assumed-role/agent/i-1" {
			t.Errorf("%s: %+v, %v", one.region, caller, err)
		}
	}
	if calls := len(cloud.Calls("sts", "GetCallerIdentity")); calls != 3 {
		t.Errorf("STS was called %d times, and must be by auth only", calls)
	}
}

func TestHostsWithoutCredentialsSaySo(t *testing.T) {
	cloud := cloudtest.New(t, nil)
	cloudtest.Environment(t, map[string]string{"AWS_REGION": "us-west-1"})
	maker := hostproof.Maker{Credentials: cloud.Provider(), Now: time.Now}
	if _, err := maker.IAM(t.Context(), "binding"); !fault.Is(err, fault.ConnectionProblem) {
		t.Errorf("iam: %v", err)
	}
	if _, err := maker.EC2(t.Context()); !fault.Is(err, fault.ConnectionProblem) {
		t.Errorf("ec2: %v", err)
	}
}

// TestInstancesReadTheirDocument reads it with version 2 of the metadata service only.
func TestInstancesReadTheirDocument(t *testing.T) {
	cloud := cloudtest.New(t, nil)
	instance := cloud.AddInstance(&fakeaws.Instance{Account: cloud.Account("aws", cloudtest.AgentAccount), Mode: fakeaws.MetadataV2Only})
	server, err := cloud.Serve(t.Context(), fakeaws.Listeners{Metadata: []fakeaws.MetadataListener{{Address: "127.0.0.1:0", Handler: instance}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.URL)
	maker := hostproof.Maker{Credentials: cloud.Provider(), Now: time.Now}
	identity, err := maker.EC2(t.Context())
	if err != nil || len(identity) < 500 {
		t.Fatalf("%d bytes, %v", len(identity), err)
	}
	instance.Change(func() { instance.Mode = fakeaws.MetadataV1Only })
	if _, err := maker.EC2(t.Context()); !fault.Is(err, fault.ConnectionProblem) {
		t.Errorf("version 1: %v", err)
	}
}
