package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
)

func statusCommand(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the cluster's name, version, authorities and CA pins",
		Args:  cobra.NoArgs,
		RunE: g.with(func(cmd *cobra.Command, _ []string, api *authapi.Client) error {
			info, err := api.Cluster.Ping(cmd.Context(), &sallyportv1.PingRequest{})
			if err != nil {
				return err
			}
			authorities, err := api.Cluster.GetAuthorities(cmd.Context(), &sallyportv1.GetAuthoritiesRequest{})
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintf(w, "Cluster\t%s\nVersion\t%s\n", info.GetClusterName(), info.GetServerVersion())
			for _, authority := range authorities.GetAuthorities() {
				fmt.Fprintf(w, "%s CA\t%s\n", authority.GetType(), authority.GetRotation())
			}
			for _, pin := range authorities.GetPins() {
				fmt.Fprintf(w, "CA pin\t%s\n", pin)
			}
			return w.Flush()
		}),
	}
}
