package main

import (
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/accountservice"
	"sallyport/internal/aws/fakeaws/ec2"
	"sallyport/internal/aws/fakeaws/elasticache"
	"sallyport/internal/aws/fakeaws/kms"
	"sallyport/internal/aws/fakeaws/memorydb"
	"sallyport/internal/aws/fakeaws/opensearch"
	"sallyport/internal/aws/fakeaws/organizations"
	"sallyport/internal/aws/fakeaws/rds"
	"sallyport/internal/aws/fakeaws/redshift"
	"sallyport/internal/aws/fakeaws/redshiftserverless"
	"sallyport/internal/aws/fakeaws/secretsmanager"
	"sallyport/internal/aws/fakeaws/worldfile"
)

// services is the table of the services besides STS and IAM.
func services(w *fakeaws.World) []*fakeaws.Service {
	keys := kms.New(w)
	return []*fakeaws.Service{
		rds.New(w).Service(),
		redshift.New(w).Service(),
		redshiftserverless.New(w).Service(),
		elasticache.New(w).Service(),
		memorydb.New(w).Service(),
		opensearch.New(w).Service(),
		keys.Service(),
		secretsmanager.New(w, keys).Service(),
		ec2.New(w).Service(),
		organizations.New(w).Service(),
		accountservice.New().Service(),
	}
}

func serveCommand() *cobra.Command {
	var config fakeaws.Config
	var offset time.Duration
	command := &cobra.Command{Use: "serve FILE", Short: "Serve the world that a file describes", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := worldfile.Load(args[0])
			if err != nil {
				return err
			}
			config.Now = func() time.Time { return time.Now().Add(offset) }
			world, err := file.Build(config, services)
			if err != nil {
				return err
			}
			return world.Run(cmd.Context(), cmd.OutOrStdout())
		}}
	command.Flags().DurationVar(&config.Propagation, "propagation", 0, "how long changes made through the IAM API take to have an effect")
	command.Flags().DurationVar(&config.Latency, "latency", 0, "added to every call of an API")
	command.Flags().DurationVar(&offset, "clock-offset", 0, "how far the world's clock is ahead of this machine's")
	return command
}
