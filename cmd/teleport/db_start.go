package main

import (
	"github.com/spf13/cobra"

	"sallyport/internal/config"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

func dbStartCommand() *cobra.Command {
	f := &startFlags{}
	database := &config.DatabaseFlags{}
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run a Database Service in the foreground",
		Long: `Runs a Database Service and no other service. It serves the databases of the configuration, and the one that the
flags describe. Signals do what they do for teleport start.`,
		Example: `  teleport db start --auth-server=teleport.example.com:443 --token=/tmp/token \
    --name=orders --protocol=postgres --uri=orders.internal.example.com:5432 --labels=env=prod`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			beforeServing()
			f.Roles = []string{"db"}
			f.Database = database
			cfg, err := f.load(cmd)
			if err != nil {
				return err
			}
			if len(cfg.Databases.Static)+len(cfg.Databases.Selectors) == 0 {
				return terminal.UsageError(cmd, fault.New(fault.BadParameter, "there is no database to serve; describe one with --protocol and --uri, or name a configuration with --config"))
			}
			return run(cmd.Context(), cfg)
		},
	}
	f.add(cmd)
	addDatabaseFlags(cmd, database)
	flags := cmd.Flags()
	flags.StringVar(&database.Labels, "labels", "", databaseLabelsUsage)
	flags.StringVar(&database.CACertFile, "ca-cert", "", "`file` with the authority of the database's certificate")
	flags.StringVar(&database.AWSSessionTags, "aws-session-tags", "", "`tags` of the session in which the role is assumed, such as team=red")
	flags.StringVar(&database.ADKrb5File, "ad-krb5-file", "/etc/krb5.conf", "Kerberos configuration `file` for SQL Server")
	return cmd
}

// addDatabaseFlags adds what describes a database wherever one can be described.
func addDatabaseFlags(cmd *cobra.Command, f *config.DatabaseFlags) {
	flags := cmd.Flags()
	for _, one := range []struct {
		to          *string
		name, usage string
	}{
		{&f.Name, "name", "`name` of the database; the first part of its host by default"},
		{&f.Description, "description", "`text` that describes the database"},
		{&f.Protocol, "protocol", "`protocol` of the database, such as postgres"},
		{&f.URI, "uri", "`address` of the database, host:port"},
		{&f.AWSRegion, "aws-region", "`region` of the database in AWS, such as us-west-1"},
		{&f.AWSAccountID, "aws-account-id", "`account` of the database in AWS, for Keyspaces and DynamoDB"},
		{&f.AWSAssumeRoleARN, "aws-assume-role-arn", "`arn` of a role in AWS to assume for the database"},
		{&f.AWSExternalID, "aws-external-id", "external `id` that assuming the role asks for"},
		{&f.AWSRedshiftClusterID, "aws-redshift-cluster-id", "`id` of the Redshift cluster"},
		{&f.AWSRDSInstanceID, "aws-rds-instance-id", "`id` of the RDS instance"},
		{&f.AWSRDSClusterID, "aws-rds-cluster-id", "`id` of the Aurora cluster"},
		{&f.AWSElastiCacheGroupID, "aws-elasticache-group-id", "`id` of the ElastiCache replication group"},
		{&f.AWSMemoryDBClusterName, "aws-memorydb-cluster-name", "`name` of the MemoryDB cluster"},
		{&f.GCPProjectID, "gcp-project-id", "`id` of the project in Google Cloud"},
		{&f.GCPInstanceID, "gcp-instance-id", "`id` of the Cloud SQL instance"},
		{&f.ADDomain, "ad-domain", "Active Directory `domain` of a SQL Server"},
		{&f.ADSPN, "ad-spn", "service principal `name` of a SQL Server"},
		{&f.ADKeytabFile, "ad-keytab-file", "keytab `file` for a SQL Server"},
	} {
		flags.StringVar(one.to, one.name, "", one.usage)
	}
}

const databaseLabelsUsage = "`labels` of the database, such as env=dev,host=[1h:hostname]; a value in brackets is the output of a command"
