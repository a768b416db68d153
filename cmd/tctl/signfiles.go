package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/internal/durable"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

// files returns the paths of the parts, in the order in which they are shown.
func (f *signFlags) files() []string {
	switch {
	case f.format == "file":
		return []string{f.out}
	case serverFormats[f.format].together:
		return []string{f.out + ".crt", f.out + ".cas"}
	}
	return []string{f.out + ".key", f.out + ".crt", f.out + ".cas"}
}

// confirm asks before files are replaced.
func (f *signFlags) confirm(cmd *cobra.Command) error {
	if f.overwrite || f.tar {
		return nil
	}
	var existing []string
	for _, path := range f.files() {
		_, err := os.Lstat(path)
		switch {
		case err == nil:
			existing = append(existing, path)
		case !errors.Is(err, fs.ErrNotExist):
			return fault.Wrap(fault.BadParameter, err, "%s cannot be written: %s; choose another --out", path, fault.Reason(err))
		}
	}
	if len(existing) == 0 {
		return nil
	}
	verb := "exist"
	if len(existing) == 1 {
		verb = "exists"
	}
	yes, err := terminal.Confirm(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), strings.Join(existing, ", ")+" "+verb+". Overwrite?")
	if ended := cmd.Context().Err(); ended != nil {
		return ended // there is nothing to say to whoever has ended it
	}
	if err != nil || !yes {
		return fault.New(fault.AlreadyExists, "%s would be replaced; give --overwrite or another --out", strings.Join(existing, ", "))
	}
	return nil
}

// part is one file: its ending, which may be empty, and its content.
type part struct {
	ending string
	data   []byte
}

// write writes the parts in the order in which they are shown.
func (f *signFlags) write(cmd *cobra.Command, parts ...part) error {
	if f.tar {
		return f.writeTar(cmd.OutOrStdout(), parts)
	}
	for _, p := range parts {
		path := f.out + p.ending
		if err := durable.WriteFile(path, p.data, 0o600); err != nil {
			return fault.Wrap(fault.BadParameter, err, "%s cannot be written: %s; choose another --out", path, fault.Reason(err))
		}
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "The credentials have been written to %s\n", strings.Join(f.files(), ", "))
	return err
}

// writeTar writes the parts as an archive, in which no path leads out of the place where it is unpacked.
func (f *signFlags) writeTar(out io.Writer, parts []part) error {
	archive := tar.NewWriter(out)
	for _, p := range parts {
		header := &tar.Header{Name: filepath.Base(f.out) + p.ending, Mode: 0o600, Size: int64(len(p.data)), ModTime: terminal.Now()}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(p.data); err != nil {
			return err
		}
	}
	return archive.Close()
}
