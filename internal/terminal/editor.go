package terminal

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sallyport/internal/fault"
)

// Edit lets the person change the text in the editor that TELEPORT_EDITOR, VISUAL or EDITOR names, else in
// vi, and returns the result. The pattern names the temporary file, as in os.CreateTemp.
func Edit(ctx context.Context, text []byte, pattern string) (changed []byte, err error) {
	words := strings.Fields(cmp.Or(os.Getenv("TELEPORT_EDITOR"), os.Getenv("VISUAL"), os.Getenv("EDITOR"), "vi"))
	dir, err := os.MkdirTemp("", "sallyport-edit-") // for this user only, editors' copies included
	if err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "no temporary file can be made for the editor: %s", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, strings.ReplaceAll(pattern, "*", "edit"))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "no temporary file can be made for the editor: %s", err)
	}
	cmd := exec.CommandContext(ctx, words[0], append(words[1:], path)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "the editor %q ended with: %s; nothing was changed. Choose another one with TELEPORT_EDITOR", words[0], err)
	}
	text, err = os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // as an emptied one: that is how people give up
	}
	return text, err
}
