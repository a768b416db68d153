package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/terminal"
)

// exports are the values of auth export --type.
var exports = map[string]ca.Type{"host": ca.HostCA, "tls-host": ca.HostCA, "user": ca.UserCA, "tls-user": ca.UserCA, "db": ca.DatabaseCA, "db-client": ca.ClientCA}

func exportCommand(g *global) *cobra.Command {
	var typ string
	var fingerprint string
	var keys bool
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print the certificate of an authority",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wanted, ok := exports[typ]
			if !ok {
				return fault.New(fault.BadParameter, "%q is not a type of authority; use one of host, user, db, db-client", typ)
			}
			api, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			if keys {
				return exportKeys(cmd, api, wanted, fingerprint)
			}
			return export(cmd.Context(), cmd, api, wanted, fingerprint)
		},
	}
	cmd.Flags().StringVar(&typ, "type", "", "`type` of the authority: host, user, db or db-client (required)")
	cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "print only the certificate with this CA `pin`")
	cmd.Flags().BoolVar(&keys, "keys", false, "print the private keys, with which anybody can sign for the cluster; only on the auth server's host")
	cmd.Flags().String("compat", "", "accepted, without effect: `version` of programs that read the output")
	terminal.Choices(cmd, "type", "host", "user", "db", "db-client")
	_ = cmd.MarkFlagRequired("type")
	return cmd
}

func export(ctx context.Context, cmd *cobra.Command, api *authapi.Client, typ ca.Type, fingerprint string) error {
	res, err := api.Cluster.GetAuthorities(ctx, &sallyportv1.GetAuthoritiesRequest{})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(res.GetAuthorities(), func(a *sallyportv1.Authority) bool { return a.GetType() == string(typ) })
	if i < 0 {
		return fault.New(fault.NotFound, "the cluster has no %s authority", typ)
	}
	found := false
	for _, pem := range res.GetAuthorities()[i].GetCertificates() {
		cert, err := ca.ParseCertificate(pem)
		if err != nil {
			return err
		}
		if fingerprint != "" && ca.Pin(cert) != fingerprint {
			continue
		}
		found = true
		if _, err := cmd.OutOrStdout().Write(pem); err != nil {
			return err
		}
	}
	return errNoPin(found, typ, fingerprint)
}

// errNoPin says that no certificate has the pin that was asked for.
func errNoPin(found bool, typ ca.Type, fingerprint string) error {
	if found {
		return nil
	}
	return fault.New(fault.NotFound, "no certificate of the %s authority has the pin %q; pins are those of tctl status", typ, fingerprint)
}

// exportKeys prints private keys. The auth server gives them to nobody but the administrator on its host.
func exportKeys(cmd *cobra.Command, api *authapi.Client, typ ca.Type, fingerprint string) error {
	r, err := getResource(cmd.Context(), api, reference{resource.KindCertAuthority, string(typ)}, true)
	if err != nil {
		return err
	}
	spec := r.(*resource.CertAuthority).Spec
	found := false
	for _, pair := range append(spec.ActiveKeys.TLS, spec.AdditionalTrustedKeys.TLS...) {
		cert, err := ca.ParseCertificate(pair.Cert)
		if err != nil {
			return err
		}
		if len(pair.Key) == 0 || fingerprint != "" && ca.Pin(cert) != fingerprint {
			continue
		}
		found = true
		if _, err := cmd.OutOrStdout().Write(pair.Key); err != nil {
			return err
		}
	}
	return errNoPin(found, typ, fingerprint)
}
