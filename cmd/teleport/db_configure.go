package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"sallyport/internal/config"
)

// awsDiscoveryTypes are the types that have a flag --<type>-discovery.
var awsDiscoveryTypes = []struct{ name, title string }{
	{"rds", "RDS and Aurora"}, {"rdsproxy", "RDS Proxy"}, {"redshift", "Redshift"},
	{"redshift-serverless", "Redshift Serverless"}, {"elasticache", "ElastiCache"}, {"memorydb", "MemoryDB"},
	{"opensearch", "OpenSearch"}, {"docdb", "DocumentDB"}, {"elasticache-serverless", "ElastiCache Serverless"},
}

// azureDiscoveryTypes are the types that have a flag --azure-<type>-discovery.
var azureDiscoveryTypes = []struct{ name, title string }{
	{"mysql", "MySQL"}, {"postgres", "PostgreSQL"}, {"redis", "Redis"}, {"sqlserver", "SQL Server"},
}

func dbConfigureCreateCommand() *cobra.Command {
	var f config.DatabaseFile
	var output string
	aws, azure := map[string]*[]string{}, map[string]*[]string{}
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Write the configuration of a Database Service",
		Long: `Writes a configuration for a process that serves databases: the one that the flags describe, those that
administrators write with tctl and that match labels, or those found in clouds. What is not asked for is left in
the file as comments, ready to be filled in.

--output is stdout; file, for /etc/teleport.yaml; or file:///absolute/path. A file that is there already is not
overwritten.`,
		Example: `  teleport db configure create --token=/tmp/token --proxy=teleport.example.com:443 \
    --name=aurora --protocol=postgres --uri=aurora.cluster-abc.us-west-1.rds.amazonaws.com:5432 \
    --aws-region=us-west-1 --output=file:///etc/teleport.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			env := config.SystemEnv()
			f.Nodename = env.Hostname
			f.AWSDiscovery, f.AzureDiscovery = regionsOf(aws), regionsOf(azure)
			text, note, err := config.GenerateDatabase(f, env)
			if err != nil {
				return err
			}
			path, err := config.WriteOutput(cmd.OutOrStdout(), output, config.DefaultPath, text)
			if err != nil {
				return err
			}
			if note != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), note)
			}
			if path != "" {
				fmt.Fprintf(cmd.OutOrStdout(), "The configuration is in %q; start with: teleport start --config=%s\n", path, path)
			}
			return nil
		},
	}
	addDatabaseFlags(cmd, &f.Database)
	flags := cmd.Flags()
	flags.StringVar(&f.Proxy, "proxy", "0.0.0.0:3080", "`address` of the proxy to join through, host:port")
	flags.StringVar(&f.Token, "token", "/tmp/token", "join token, or the absolute path of a file that holds it when the service starts")
	flags.StringVar(&f.DataDir, "data-dir", config.DefaultDataDir, "`directory` for everything that must survive a restart")
	flags.StringArrayVar(&f.CAPins, "ca-pin", nil, "`pin` of the cluster's authority as tctl status prints it; may be repeated")
	flags.StringVar(&f.Database.Labels, "labels", "", databaseLabelsUsage)
	flags.StringVar(&f.Database.CACertFile, "ca-cert-file", "", "`file` with the authority of the database's certificate")
	flags.StringArrayVar(&f.DynamicLabels, "dynamic-resources-labels", nil, "serve databases written with tctl that have these `labels`; may be repeated")
	for _, one := range awsDiscoveryTypes {
		aws[one.name] = flags.StringArray(one.name+"-discovery", nil, "serve "+one.title+" databases in this AWS `region`; may be repeated")
	}
	flags.StringVar(&f.AWSTags, "aws-tags", "", "`tags` that databases found in AWS must have, such as env=dev")
	for _, one := range azureDiscoveryTypes {
		azure[one.name] = flags.StringArray("azure-"+one.name+"-discovery", nil, "serve "+one.title+" databases in this Azure `region`; may be repeated")
	}
	flags.StringArrayVar(&f.AzureSubscriptions, "azure-subscription", nil, "`subscription` to look in; all by default")
	flags.StringArrayVar(&f.AzureResourceGroups, "azure-resource-group", nil, "resource `group` to look in; all by default")
	flags.StringVar(&f.AzureTags, "azure-tags", "", "`tags` that databases found in Azure must have")
	addOutputFlag(cmd, &output)
	return cmd
}

func addOutputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "stdout", "`where` to write: stdout, file, or file:// and an absolute path")
}

func regionsOf(flags map[string]*[]string) map[string][]string {
	regions := map[string][]string{}
	for name, values := range flags {
		regions[name] = *values
	}
	return regions
}
