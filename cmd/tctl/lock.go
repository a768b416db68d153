package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/terminal"
)

func lockCommand(g *global) *cobra.Command {
	var target resource.LockTarget
	var message, expires string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "lock",
		Short: "Lock a user, a role or another target out, at once and everywhere",
		Long: `Lock a target out: running sessions end within seconds, and new ones are refused until the lock expires or is
removed with tctl rm lock/NAME. When several targets are given, all of them must match.`,
		Example: "  tctl lock --user=mallory --message='call security' --ttl=2h",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if target == (resource.LockTarget{}) {
				return fault.New(fault.BadParameter, "say whom to lock out: give --user, --role or another target")
			}
			r, err := resource.New(resource.KindLock)
			if err != nil {
				return err
			}
			lock := r.(*resource.Lock)
			lock.Metadata.Name = newName()
			lock.Spec.Target, lock.Spec.Message = target, message
			if lock.Spec.Expires, err = lockExpiry(cmd, ttl, expires); err != nil {
				return err
			}
			if err := lock.Validate(); err != nil {
				return err
			}
			api, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			if err := createResource(cmd.Context(), api, lock); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Created a lock with name %q.\n", lock.GetName())
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&target.User, "user", "", "`name` of a user")
	flags.StringVar(&target.Role, "role", "", "`name` of a role: all users who hold it")
	flags.StringVar(&target.Login, "login", "", "operating system `login`")
	flags.StringVar(&target.MFADevice, "mfa-device", "", "`id` of a second factor's device")
	flags.StringVar(&target.WindowsDesktop, "windows-desktop", "", "`name` of a Windows desktop")
	flags.StringVar(&target.AccessRequest, "access-request", "", "`id` of an access request")
	flags.StringVar(&target.Device, "device", "", "`id` of a trusted device")
	flags.StringVar(&target.ServerID, "server-id", "", "`id` of a host, such as an agent's")
	flags.StringVar(&target.JoinToken, "join-token", "", "`token` with which hosts joined: all of them, and all who try")
	for _, name := range []string{"login", "windows-desktop", "access-request", "device"} {
		_ = flags.MarkHidden(name) // refused: this cluster has none
	}
	flags.StringVar(&message, "message", "", "`text` that locked people read")
	flags.DurationVar(&ttl, "ttl", 0, "how long the lock holds, a `duration`; until it is removed by default")
	flags.StringVar(&expires, "expires", "", "`time` until which the lock holds, RFC 3339")
	return cmd
}

func lockExpiry(cmd *cobra.Command, ttl time.Duration, expires string) (*time.Time, error) {
	byTTL, byTime := cmd.Flags().Changed("ttl"), expires != ""
	switch {
	case byTTL && byTime:
		return nil, fault.New(fault.BadParameter, "give --ttl or --expires, not both")
	case byTTL && ttl <= 0:
		return nil, fault.New(fault.BadParameter, "--ttl must be longer than nothing")
	case byTTL:
		at := terminal.Now().Add(ttl).UTC()
		return &at, nil
	case byTime:
		at, err := time.Parse(time.RFC3339, expires)
		if err != nil {
			return nil, fault.New(fault.BadParameter, "--expires is not a time like 2026-01-31T18:00:00Z")
		}
		if !at.After(terminal.Now()) {
			return nil, fault.New(fault.BadParameter, "--expires is in the past, so that the lock would hold nobody; give a later time")
		}
		return &at, nil
	}
	return nil, nil
}
