package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/aws/bootstrap"
	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/config"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

// bootstrapFlags say for whom permissions in AWS are set up, and how.
type bootstrapFlags struct {
	role, user   string
	assumesRoles []string
	policyName   string
	manual       bool // print, and leave the rest to the person
	confirm      bool // do not ask
}

// identity returns the identity that the flags name, or none.
func (f *bootstrapFlags) identity() (id bootstrap.Identity, named bool, err error) {
	switch {
	case f.role != "" && f.user != "":
		return id, false, fault.New(fault.BadParameter, "a policy is attached to a role or to a user; name one of them")
	case f.role != "":
		id, err = bootstrap.ParseIdentity(bootstrap.Role, f.role)
		return id, true, err
	case f.user != "":
		id, err = bootstrap.ParseIdentity(bootstrap.User, f.user)
		return id, true, err
	default:
		return bootstrap.DefaultUser(), false, nil
	}
}

// addBootstrapFlags adds the flags of the commands that read a configuration.
func addBootstrapFlags(cmd *cobra.Command, f *bootstrapFlags, path *string, policyName string) {
	flags := cmd.Flags()
	flags.StringVarP(path, "config", "c", config.DefaultPath, "`file` with the configuration")
	flags.BoolVar(&f.manual, "manual", false, "print what has to be done and do nothing; needs neither credentials nor a network")
	flags.StringVar(&f.policyName, "policy-name", policyName, "`name` of the policy that is created")
	flags.BoolVar(&f.confirm, "confirm", false, "do not ask before anything is done")
	flags.StringVar(&f.role, "attach-to-role", "", "`role` that gets the policy: its name, with the path if it has one, or its ARN")
	flags.StringVar(&f.user, "attach-to-user", "", "`user` that gets the policy: its name, with the path if it has one, or its ARN")
	flags.StringSliceVar(&f.assumesRoles, "assumes-roles", nil, "further `roles` that may be assumed, such as those of database users: names or ARNs, between commas")
}

// loadForBootstrap reads the configuration and says so. Where there is none, it says how one can be written, by a command or in
// other words with a place for the file's path.
func loadForBootstrap(cmd *cobra.Command, path, write string) (*config.Config, error) {
	cfg, err := config.Load(path)
	if fault.Is(err, fault.NotFound) {
		written := path
		if absolute, absErr := filepath.Abs(path); absErr == nil {
			written = absolute
		}
		return nil, terminal.UsageError(cmd, fault.Wrap(fault.NotFound, err, "there is no configuration file %s; name another one with --config, or write one "+write, path, written))
	}
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Reading the configuration %q.\n\n", path)
	return cfg, err
}

type (
	// planner makes the plan for an identity. It may complete further ones.
	planner func(target bootstrap.Identity, complete completer) (bootstrap.Plan, error)
	// completer fills in what the short name of an identity leaves out, where AWS can be asked.
	completer func(bootstrap.Identity) (bootstrap.Identity, error)
)

// setUp makes the plan and prints it. Unless it is for people to carry out, it is then carried out.
func (f *bootstrapFlags) setUp(cmd *cobra.Command, planFor planner) error {
	target, named, err := f.identity()
	if err != nil {
		return terminal.UsageError(cmd, err)
	}
	var admin *bootstrap.Admin
	complete := completer(func(id bootstrap.Identity) (bootstrap.Identity, error) { return id, nil })
	if !f.manual {
		provider := credentials.New(credentials.Config{SessionName: "bootstrap", Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		if admin, err = bootstrap.Open(cmd.Context(), provider); err != nil {
			return err
		}
		complete = func(id bootstrap.Identity) (bootstrap.Identity, error) { return admin.Complete(cmd.Context(), id) }
		if named {
			target, err = complete(target)
		} else {
			target, err = admin.Caller(cmd.Context())
		}
		if err != nil {
			return err
		}
	}
	plan, err := planFor(target, complete)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if len(plan.Actions) == 0 {
		fmt.Fprintln(out, "No extra configuration in AWS is needed.")
	} else {
		fmt.Fprintln(out, "AWS")
	}
	if _, err := fmt.Fprint(out, plan); err != nil || f.manual || len(plan.Actions) == 0 {
		return err
	}
	if !f.confirm {
		yes, err := terminal.Confirm(cmd.Context(), cmd.InOrStdin(), out, "Do this?")
		if err != nil || !yes {
			return err
		}
	}
	return admin.Apply(cmd.Context(), plan, func(action bootstrap.Action, err error) {
		mark := "done"
		if err != nil {
			mark = "FAILED"
		}
		fmt.Fprintf(out, "[%s] %s\n", mark, action.Title())
	})
}

// databaseEntries are the parts of db_service that use databases in AWS.
func databaseEntries(cfg *config.Databases) (entries []bootstrap.Entry, otherRoles []string) {
	for _, db := range cfg.Static {
		t := endpoint.Type(db.Type())
		if !slices.Contains(endpoint.Types(), t) {
			continue
		}
		aws := &db.Spec.AWS
		entries = append(entries, bootstrap.Entry{Types: []endpoint.Type{t}, Role: aws.AssumeRoleARN,
			SecretPrefix: aws.SecretStore.KeyPrefix, KMSKey: aws.SecretStore.KMSKeyID, SessionTags: len(aws.SessionTags) > 0})
	}
	for _, selector := range cfg.Selectors {
		if role := selector.AWS.AssumeRoleARN; role != "" {
			otherRoles = append(otherRoles, role)
		}
	}
	return append(entries, matcherEntries(cfg.AWS)...), otherRoles
}

// matcherEntries leaves out types that are not databases.
func matcherEntries(matchers []config.AWSMatcher) []bootstrap.Entry {
	var entries []bootstrap.Entry
	for _, m := range matchers {
		entry := bootstrap.Entry{Role: m.AssumeRoleARN}
		for _, name := range m.Types {
			if t := endpoint.Type(name); slices.Contains(endpoint.Types(), t) {
				entry.Types = append(entry.Types, t)
			}
		}
		if len(entry.Types) > 0 {
			entries = append(entries, entry)
		}
	}
	return entries
}
