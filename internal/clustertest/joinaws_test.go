package clustertest_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/ec2"
	"sallyport/internal/clustertest"
	"sallyport/internal/config"
	"sallyport/internal/resource"
	"sallyport/internal/service"
)

// serviceOf waits until the cluster knows a running Database Service besides those given, and returns its host id.
func serviceOf(t *testing.T, cluster *clustertest.Cluster, known ...string) (host string) {
	t.Helper()
	clustertest.Eventually(t, "the agent runs", func() error {
		res, err := cluster.Admin.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: resource.KindDatabaseService})
		if err != nil {
			return err
		}
		for _, one := range res.GetResources() {
			if !strings.Contains(strings.Join(known, " "), one.GetName()) {
				host = one.GetName()
				return nil
			}
		}
		return errors.New("no other service")
	})
	return host
}

func joinWith(method, token string, more ...func(*config.Config)) func(*config.Config) {
	return func(cfg *config.Config) {
		cfg.JoinMethod, cfg.Token = method, token
		for _, change := range more {
			change(cfg)
		}
	}
}

// TestAgentsJoinWithIAM joins through the proxy, with a pin end to end and without one, and at auth.
func TestAgentsJoinWithIAM(t *testing.T) {
	cloud := cloudtest.New(t, nil)
	cluster := clustertest.Start(t, clustertest.Options{STS: cloud})
	cluster.Apply(t, `kind: token
version: v2
metadata: {name: agents}
spec: {roles: [Db], join_method: iam, allow: [{aws_account: "111111111111", aws_arn: "arn:aws:sts::111111111111:assumed-role/agent/i-*"}]}
`)
	var known []string
	for name, change := range map[string]func(*config.Config){
		"through the proxy, with a pin": func(*config.Config) {},
		"through the proxy":             func(cfg *config.Config) { cfg.CAPins, cfg.Insecure = nil, true },
		"at auth":                       func(cfg *config.Config) { cfg.ProxyAddr, cfg.AuthAddr = "", cluster.Auth },
	} {
		agent := cluster.StartAgent(t, joinWith(resource.JoinIAM, "agents", change), clustertest.Database(t, "orders", "127.0.0.1:1", nil))
		host := serviceOf(t, cluster, known...)
		known = append(known, host)
		if n := len(cluster.Events(t, []string{"instance.join"}, `"method":"iam"`, `"token_name":"agents"`, host, `"arn":"arn:aws:sts::111111111111:assumed-role/agent/i-1"`)); n != 1 {
			t.Errorf("%s: %d joins of %s are recorded", name, n, host)
		}
		for _, secret := range cloud.Secrets() {
			if strings.Contains(agent.Log(), secret) || strings.Contains(cluster.Log(), secret) {
				t.Errorf("%s: a secret is in a log", name)
			}
		}
	}
	for _, secret := range cloud.Secrets() {
		if n := len(cluster.Events(t, nil, secret)); n != 0 {
			t.Error("a secret is in the audit log")
		}
	}
}

// TestInstancesJoinWithTheirDocument runs an agent on an instance of EC2: under the instance's id it joins, serves, tells
// what happens, and starts again, also when its document is too old to join.
func TestInstancesJoinWithTheirDocument(t *testing.T) {
	cloud := cloudtest.New(t, nil, cloudtest.AllowAssume)
	cloud.Add(ec2.New(cloud.World).Service())
	watcher := cloud.Role(t, cloudtest.AgentAccount, "watcher", cloudtest.Trust("arn:aws:iam::"+cloudtest.AgentAccount+":role/agent", ""), cloudtest.Allow("ec2:DescribeInstances", "*"))
	instance := cloud.AddInstance(&fakeaws.Instance{Account: cloud.Account("aws", cloudtest.AgentAccount), Mode: fakeaws.MetadataV2Only})
	server, err := cloud.Serve(t.Context(), fakeaws.Listeners{HTTP: []string{"127.0.0.1:0"}, Metadata: []fakeaws.MetadataListener{{Address: "127.0.0.1:0", Handler: instance}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	t.Setenv("AWS_ENDPOINT_URL", server.Addresses[0])
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.Addresses[1])
	certificate, err := cloud.IdentityCertificate()
	if err != nil {
		t.Fatal(err)
	}
	certificates := t.TempDir()
	if err := os.WriteFile(filepath.Join(certificates, instance.Region+".pem"), certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	cluster := clustertest.Start(t, clustertest.Options{Change: func(cfg *config.Config) { cfg.Auth.EC2IdentityCertificates = certificates }})
	cluster.Apply(t, fmt.Sprintf(`kind: token
version: v2
metadata: {name: instances}
spec: {roles: [Db], join_method: ec2, allow: [{aws_account: "111111111111", aws_regions: [us-west-1], aws_role: %q}]}
`, watcher.ARN()))
	front := &scene{Cluster: cluster, pg: startPostgres(t, cluster)}
	var data string
	start := func() *clustertest.Daemon {
		return cluster.StartAgent(t, joinWith(resource.JoinEC2, "instances", func(cfg *config.Config) {
			if data != "" {
				cfg.DataDir = data
			}
			data = cfg.DataDir
		}), front.database(t, "orders"))
	}
	agent := start()
	host := cloudtest.AgentAccount + "-" + instance.ID
	if got := serviceOf(t, cluster); got != host {
		t.Errorf("the host id is %s", got)
	}
	if n := len(cluster.Events(t, []string{"instance.join"}, `"code":"TJ002I"`, `"method":"ec2"`, `"host_id":"`+host+`"`, `"instance_id":"`+instance.ID+`"`)); n != 1 {
		t.Errorf("%d joins are recorded", n)
	}
	if calls := cloud.Calls("ec2", "DescribeInstances"); len(calls) != 1 || !strings.Contains(calls[0].Principal, "assumed-role/watcher/") {
		t.Errorf("EC2 was asked %+v", calls)
	}
	// What the agent tells under this id is taken.
	cluster.Apply(t, dbRole)
	front.alice = cluster.User(t, "alice", "db")
	works(t, front.session(t, "orders"))
	clustertest.Eventually(t, "the session is in the log", func() error {
		if len(cluster.Events(t, []string{"db.session.start"}, `"server_id":"`+host+`"`)) == 0 {
			return errors.New("no event of the host")
		}
		return nil
	})
	agent.Stop(t)
	instance.Change(func() { instance.Mode = fakeaws.MetadataOff })
	start()
	clustertest.Eventually(t, "the agent runs again", func() error {
		if serviceOf(t, cluster) != host {
			return errors.New("under another id")
		}
		return nil
	})
	if n := len(cluster.Events(t, []string{"instance.join"})); n != 1 {
		t.Errorf("%d joins, after a start with the certificate", n)
	}
}

// TestAHostThatAWSVouchesForBadlyIsToldSo ends with a sentence.
func TestAHostThatAWSVouchesForBadlyIsToldSo(t *testing.T) {
	cloud := cloudtest.New(t, nil)
	cluster := clustertest.Start(t, clustertest.Options{STS: cloud})
	cluster.Apply(t, "kind: token\nversion: v2\nmetadata: {name: others}\nspec: {roles: [Db], join_method: iam, allow: [{aws_account: '222222222222'}]}\n")
	cfg := cluster.AgentConfig(t, joinWith(resource.JoinIAM, "others"), clustertest.Database(t, "orders", "127.0.0.1:1", nil))
	err := service.Process{}.Run(t.Context(), t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "this host was not let in with its identity in AWS") {
		t.Errorf("the agent ended with %v", err)
	}
	if n := len(cluster.Events(t, []string{"instance.join"}, `"code":"TJ002E"`, "no rule of the token allows the host", `"account":"111111111111"`)); n != 1 {
		t.Errorf("%d refusals are recorded", n)
	}
}
