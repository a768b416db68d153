package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/internal/aws/bootstrap"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

// iamFlags are those of print-iam and create-iam.
type iamFlags struct {
	bootstrapFlags
	types []string
}

func (f *iamFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVarP(&f.types, "types", "r", nil, "`types` of databases, between commas: "+strings.Join(typeNames(), ", "))
	flags.StringVar(&f.role, "role", "", "`role` that gets the policy: its name, with the path if it has one, or its ARN")
	flags.StringVar(&f.user, "user", "", "`user` that gets the policy: its name, with the path if it has one, or its ARN")
	flags.StringSliceVar(&f.assumesRoles, "assumes-roles", nil, "`roles` that may be assumed, such as those of database users: names or ARNs, between commas")
}

func typeNames() []string {
	var names []string
	for _, t := range endpoint.Types() {
		names = append(names, string(t))
	}
	return names
}

// request says what the types need.
func (f *iamFlags) request(cmd *cobra.Command) (bootstrap.Request, error) {
	r := bootstrap.Request{Purposes: serviceNeeds, UserRoles: f.assumesRoles, PolicyName: f.policyName, Description: databaseDescription}
	if len(f.types) == 0 && len(f.assumesRoles) == 0 {
		return r, terminal.UsageError(cmd, fault.New(fault.BadParameter, "say what the permissions are for, with --types or --assumes-roles"))
	}
	for _, name := range f.types {
		t := endpoint.Type(strings.TrimSpace(name))
		if !slices.Contains(endpoint.Types(), t) {
			return r, terminal.UsageError(cmd, fault.New(fault.BadParameter, "--types: %q is not known; use %s", name, strings.Join(typeNames(), ", ")))
		}
		r.Entries = append(r.Entries, bootstrap.Entry{Types: []endpoint.Type{t}, SessionTags: t == endpoint.DynamoDB})
	}
	return r, nil
}

func forTypes(r bootstrap.Request) planner {
	return func(target bootstrap.Identity, _ completer) (bootstrap.Plan, error) {
		return bootstrap.Make(r, target)
	}
}

func dbConfigureAWSCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "aws", Short: "Print or create policies of IAM for types of databases"}
	cmd.AddCommand(printIAMCommand(), createIAMCommand())
	return cmd
}

func printIAMCommand() *cobra.Command {
	f := &iamFlags{}
	var policy, boundary bool
	cmd := &cobra.Command{
		Use:   "print-iam",
		Short: "Print what a Database Service needs in AWS for types of databases",
		Long: `Prints the policy that a Database Service needs for databases of the types, and how to put it into effect. Nothing is
done, and neither credentials nor a network are needed. What is not known of the identity is written as *.`,
		Example: `  teleport db configure aws print-iam --types=redshift,redshift-serverless --role=TeleportRole
  teleport db configure aws print-iam --types=rds --policy > policy.json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if boundary {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "Permissions boundaries are not made: the Database Service does not change its own permissions, unless db_service.manage_iam_policy is on; then set one of your own. There is nothing to print; see --policy.")
				return err
			}
			f.manual, f.policyName = true, bootstrap.DefaultPolicyName
			r, err := f.request(cmd)
			if err != nil {
				return err
			}
			if !policy {
				return f.setUp(cmd, forTypes(r))
			}
			return f.printPolicy(cmd, r)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&policy, "policy", false, "print the policy alone")
	cmd.Flags().BoolVar(&boundary, "boundary", false, "of no use any more; says why")
	return cmd
}

// printPolicy writes the policy and nothing else to standard output.
func (f *iamFlags) printPolicy(cmd *cobra.Command, r bootstrap.Request) error {
	target, _, err := f.identity()
	if err != nil {
		return terminal.UsageError(cmd, err)
	}
	plan, err := bootstrap.Make(r, target)
	if err != nil {
		return err
	}
	for _, note := range plan.Notes {
		fmt.Fprintf(cmd.ErrOrStderr(), "Note: %s\n", note)
	}
	if len(plan.Actions) == 0 {
		_, err = fmt.Fprintln(cmd.ErrOrStderr(), "No extra configuration in AWS is needed.")
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), plan.Actions[0].Document)
	return err
}

func createIAMCommand() *cobra.Command {
	f := &iamFlags{}
	attach := true
	cmd := &cobra.Command{
		Use:   "create-iam",
		Short: "Create what a Database Service needs in AWS for types of databases",
		Long: `Creates a policy with what a Database Service needs for databases of the types, and attaches it to the user or role.
Without --user and --role that is whoever the AWS credentials of this command belong to. A policy that was created this
way before gets a new version.`,
		Example: `  teleport db configure aws create-iam --types=redshift,redshift-serverless --name=teleport-redshift-access`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.request(cmd)
			if err != nil {
				return err
			}
			r.NoAttach = !attach
			return f.setUp(cmd, forTypes(r))
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.policyName, "name", bootstrap.DefaultPolicyName, "`name` of the policy")
	flags.BoolVar(&attach, "attach", true, "attach the policy; with --attach=false it is only created")
	flags.BoolVar(&f.confirm, "confirm", false, "do not ask before anything is done")
	return cmd
}
