package main

import (
	"github.com/spf13/cobra"

	"sallyport/internal/aws/bootstrap"
	"sallyport/internal/aws/iampolicy"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

// discoveryPolicyName differs from that of Database Services, since both may be of one account.
const discoveryPolicyName = "DatabaseDiscovery"

func discoveryCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "discovery", Short: "Prepare a Discovery Service"}
	cmd.AddCommand(discoveryBootstrapCommand())
	return cmd
}

func discoveryBootstrapCommand() *cobra.Command {
	f := &bootstrapFlags{}
	var path, serviceRole, servicePolicy string
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Set up the permissions in AWS that a Discovery Service asks for",
		Long: `Reads the configuration of a Discovery Service and creates a policy with the permissions in AWS that it needs to find
databases, attached to the user or role as whom it runs. With --database-service-role it also creates the policy of the
Database Service that is to serve what is found.

Otherwise it works as teleport db configure bootstrap does.`,
		Example: `  teleport discovery bootstrap -c /etc/teleport.yaml --attach-to-role=TeleportDiscovery --database-service-role=TeleportDatabases`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadForBootstrap(cmd, path, "that has a discovery_service (docs/discovery.md) to %s")
			if err != nil {
				return err
			}
			entries := matcherEntries(cfg.Discovery.AWS)
			return f.setUp(cmd, func(target bootstrap.Identity, complete completer) (bootstrap.Plan, error) {
				finds := bootstrap.Request{Entries: entries, Purposes: iampolicy.Discovery, PolicyName: f.policyName, Description: discoveryDescription}
				serves := bootstrap.Request{Entries: entries, Purposes: iampolicy.Metadata | iampolicy.Access, PolicyName: servicePolicy, Description: databaseDescription}
				if serviceRole == "" {
					finds.UserRoles = f.assumesRoles
				} else {
					serves.UserRoles = f.assumesRoles // whoever serves databases assumes the roles of their users
				}
				plan, err := bootstrap.Make(finds, target)
				if err != nil || serviceRole == "" {
					return plan, err
				}
				if servicePolicy == f.policyName {
					return plan, terminal.UsageError(cmd, fault.New(fault.BadParameter, "the policies of the two services need names that differ; change --policy-name or --database-service-policy-name"))
				}
				service, err := bootstrap.ParseIdentity(bootstrap.Role, serviceRole)
				if err != nil {
					return plan, terminal.UsageError(cmd, err)
				}
				if service, err = complete(service); err != nil {
					return plan, err
				}
				other, err := bootstrap.Make(serves, service)
				return plan.Then(other), err
			})
		},
	}
	addBootstrapFlags(cmd, f, &path, discoveryPolicyName)
	flags := cmd.Flags()
	flags.StringVar(&serviceRole, "database-service-role", "", "`role` as which the Database Service runs: its name or ARN")
	flags.StringVar(&servicePolicy, "database-service-policy-name", bootstrap.DefaultPolicyName, "`name` of the policy of the Database Service")
	flags.String("proxy", "", "`address` of the proxy; of no use for databases")
	return cmd
}
