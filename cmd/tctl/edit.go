package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/internal/authapi"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/terminal"
)

func editCommand(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "edit KIND/NAME",
		Short: "Change a resource in an editor",
		Long:  "Change a resource in an editor: that of TELEPORT_EDITOR, VISUAL or EDITOR, or else vi.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := parseReference(args[0])
			if err != nil {
				return err
			}
			if ref.name == "" {
				return fault.New(fault.BadParameter, "name what to edit, as in tctl edit %s/NAME", args[0])
			}
			api, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return edit(cmd, api, ref)
		},
	}
}

func edit(cmd *cobra.Command, api *authapi.Client, ref reference) error {
	old, err := getResource(cmd.Context(), api, ref, false)
	if err != nil {
		return err
	}
	before, err := resource.ToYAML(old)
	if err != nil {
		return err
	}
	after, err := terminal.Edit(cmd.Context(), before, ref.kind+"-*.yaml")
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(string(after)); text == "" || string(after) == string(before) {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "Nothing was changed.")
		return err
	}
	served := serversOfFiles(cmd.Context(), api, []resource.Resource{old})
	changed, err := putEdited(cmd.Context(), api, old, after)
	if err != nil {
		return keepText(err, ref.kind, after)
	}
	if err := created(cmd, api, served, changed, "updated"); err != nil {
		return err
	}
	return noteLost(cmd.ErrOrStderr(), changed.GetName(), rolesOf(old), rolesOf(changed))
}

// putEdited writes what the editor left of a resource, if nobody else has changed that meanwhile.
func putEdited(ctx context.Context, api *authapi.Client, old resource.Resource, text []byte) (resource.Resource, error) {
	all, err := resource.ParseYAML(text)
	if err != nil {
		return nil, err
	}
	if len(all) != 1 || all[0].GetKind() != old.GetKind() || all[0].GetName() != old.GetName() {
		return nil, fault.New(fault.BadParameter, "kind and name of a resource cannot be edited; create another one with tctl create")
	}
	if all[0].Meta().Revision == "" {
		all[0].Meta().Revision = old.Meta().Revision
	}
	_, err = putResource(ctx, api, all[0])
	return all[0], err
}

// keepText saves somebody's work that was refused, and says where.
func keepText(cause error, kind string, text []byte) error {
	file, err := os.CreateTemp("", kind+"-*.yaml") // made with mode 0600
	if err != nil {
		return cause
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return cause
	}
	return fault.Wrap(fault.KindOf(cause), cause, "%s; your version is kept in %s", fault.Message(cause), file.Name())
}
