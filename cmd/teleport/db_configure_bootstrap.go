package main

import (
	"github.com/spf13/cobra"

	"sallyport/internal/aws/bootstrap"
	"sallyport/internal/aws/iampolicy"
)

const (
	databaseDescription  = "Lets a Database Service find databases and log in to them"
	discoveryDescription = "Lets a Discovery Service find databases"

	// serviceNeeds is for Database Services: their own matchers look for databases too.
	serviceNeeds = iampolicy.Discovery | iampolicy.Metadata | iampolicy.Access
)

func dbConfigureBootstrapCommand() *cobra.Command {
	f := &bootstrapFlags{}
	var path string
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Set up the permissions in AWS that a configuration asks for",
		Long: `Reads the configuration of a Database Service and creates a policy with the permissions in AWS that its databases
need, attached to the user or role as whom the service runs. Without --attach-to-user and --attach-to-role that is whoever
the AWS credentials of this command belong to.

Where databases have an assume_role_arn, the service needs no more than to assume that role. Call the command once for
the identity of the service, and once with --attach-to-role for each role, which then gets what its databases need.

With --manual nothing is done; what has to be done is printed.`,
		Example: `  teleport db configure bootstrap -c /etc/teleport.yaml --attach-to-user TeleportUser
  teleport db configure bootstrap -c /etc/teleport.yaml --manual --attach-to-role arn:aws:iam::123456789012:role/TeleportRole`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadForBootstrap(cmd, path, "with: teleport db configure create --output=file://%s")
			if err != nil {
				return err
			}
			return f.setUp(cmd, func(target bootstrap.Identity, _ completer) (bootstrap.Plan, error) {
				entries, otherRoles := databaseEntries(&cfg.Databases)
				return bootstrap.Make(bootstrap.Request{Entries: entries, OtherRoles: otherRoles, Purposes: serviceNeeds,
					KeepsInline: cfg.Databases.ManageIAMPolicy, UserRoles: f.assumesRoles, PolicyName: f.policyName, Description: databaseDescription}, target)
			})
		},
	}
	addBootstrapFlags(cmd, f, &path, bootstrap.DefaultPolicyName)
	return cmd
}
