package main

import (
	"os"
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
	var options serveOptions
	command := &cobra.Command{Use: "serve FILE", Short: "Serve the world that a file describes", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			world, err := options.load(args[0])
			if err != nil {
				return err
			}
			return world.Run(cmd.Context(), cmd.OutOrStdout())
		}}
	options.flags(command)
	return command
}

func (o *serveOptions) flags(command *cobra.Command) {
	command.Flags().DurationVar(&o.config.Propagation, "propagation", 0, "how long changes made through the IAM API take to have an effect")
	command.Flags().DurationVar(&o.config.Latency, "latency", 0, "added to every call of an API")
	command.Flags().DurationVar(&o.clockOffset, "clock-offset", 0, "how far the world's clock is ahead of this machine's")
}

// serveOptions are the flags that serve and run have in common.
type serveOptions struct {
	config      fakeaws.Config
	clockOffset time.Duration
}

func (o *serveOptions) load(path string) (*worldfile.Built, error) {
	file, err := worldfile.Load(path)
	if err != nil {
		return nil, err
	}
	o.config.Now = func() time.Time { return time.Now().Add(o.clockOffset) }
	world, err := file.Build(o.config, services)
	if err != nil {
		return nil, err
	}
	world.VerifyCommand = []string{os.Args[0], "verify"}
	return world, nil
}
