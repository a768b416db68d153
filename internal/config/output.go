package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sallyport/internal/durable"
	"sallyport/internal/fault"
)

// WriteOutput puts a generated file where --output says: "stdout", "file" (the usual path),
// "file:///absolute/path" or "/absolute/path". It returns the path written, or "" for stdout. An existing
// file is never replaced; a new one has mode 0600.
func WriteOutput(stdout io.Writer, output, usual string, data []byte) (path string, err error) {
	switch {
	case output == "stdout" || output == "":
		_, err = stdout.Write(data)
		return "", err
	case output == "file" || output == "file://":
		path = usual
	case strings.HasPrefix(output, "file://"):
		path = strings.TrimPrefix(output, "file://")
	default:
		path = output
	}
	if !filepath.IsAbs(path) {
		return "", fault.New(fault.BadParameter, "--output: %q is not known; use stdout, file, or file:// and an absolute path, as in file:///etc/teleport.yaml", output)
	}
	path = filepath.Clean(path)
	return path, writeNew(path, data)
}

func writeNew(path string, data []byte) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fault.Wrap(fault.AlreadyExists, err, "%s is there already and is not overwritten; remove it first, or choose another path with --output", path)
	case errors.Is(err, fs.ErrNotExist):
		return fault.Wrap(fault.NotFound, err, "%s cannot be written: the directory %s does not exist; create it first", path, filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission):
		return fault.Wrap(fault.AccessDenied, err, "%s cannot be written by this user; run the command as root, or choose another path with --output", path)
	case err != nil:
		return fault.Wrap(fault.BadParameter, err, "%s cannot be written: %s", path, fault.Reason(err))
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		err = errors.Join(err, os.Remove(path))
		return fault.Wrap(fault.Internal, err, "%s could not be written completely and was removed: %s", path, fault.Reason(err))
	}
	return nil
}
