package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/internal/aws/fakeaws"
)

const cloudKey = "cloud"

const administrator = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]}`

// cloud start starts a local AWS for the rest of the script: account 123456789012 with a user admin, who may
// do everything in IAM and whose keys are in the environment, and a role /team/service.
//
// cloud show prints what there is of policies, what they are attached to, and which calls changed anything.
func cloud(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: cloud start|show")
	}
	if args[0] == "show" {
		world, ok := ts.Value(cloudKey).(**fakeaws.World)
		if !ok || *world == nil {
			ts.Fatalf("cloud show comes after cloud start")
		}
		ts.Check(os.WriteFile(ts.MkAbs("cloud.txt"), []byte(shown(*world)), 0o600))
		return
	}
	world, err := fakeaws.New(fakeaws.Config{})
	ts.Check(err)
	account := world.Account("aws", "123456789012")
	user, err := account.AddUser(fakeaws.User{Name: "admin", Permissions: fakeaws.Permissions{Inline: map[string]string{"all": administrator}}})
	ts.Check(err)
	_, err = account.AddRole(fakeaws.Role{Name: "service", Path: "/team/",
		Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ec2.amazonaws.com"}}]}`})
	ts.Check(err)
	server, err := world.Start(context.Background())
	ts.Check(err)
	ts.Defer(server.Stop)
	keys := user.CreateKeys()
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": keys.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY": keys.SecretAccessKey, "AWS_REGION": "us-west-1", "AWS_EC2_METADATA_DISABLED": "true"} {
		ts.Setenv(name, value)
	}
	*ts.Value(cloudKey).(**fakeaws.World) = world
}

// shown is the state of the account and the calls that changed it.
func shown(world *fakeaws.World) string {
	var b strings.Builder
	for _, account := range world.Accounts() {
		world.Update(func() {
			for _, arn := range slices.Sorted(maps.Keys(account.Policies)) {
				policy := account.Policies[arn]
				if len(policy.Tags) == 0 {
					continue // AWS's own
				}
				var document bytes.Buffer
				if err := json.Compact(&document, []byte(policy.Versions[len(policy.Versions)-1].Document)); err != nil {
					document.WriteString(err.Error())
				}
				fmt.Fprintf(&b, "%s v%d %s\n", arn, policy.Default, &document)
			}
			for _, name := range slices.Sorted(maps.Keys(account.Users)) {
				fmt.Fprintf(&b, "user %s has %s\n", name, account.Users[name].Attached)
			}
			for _, name := range slices.Sorted(maps.Keys(account.Roles)) {
				fmt.Fprintf(&b, "role %s has %s\n", name, account.Roles[name].Attached)
			}
		})
	}
	for _, entry := range world.Journal() {
		if !strings.HasPrefix(entry.Operation, "Get") && !strings.HasPrefix(entry.Operation, "List") {
			fmt.Fprintf(&b, "%s:%s %s\n", entry.Service, entry.Operation, entry.Error)
		}
	}
	return b.String()
}
