package config

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"

	"sallyport/internal/fault"
)

// Load reads the file at path. The error has one line for each problem.
func Load(path string) (*Config, error) {
	env := SystemEnv()
	data, err := env.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		written := path
		if absolute, absErr := filepath.Abs(path); absErr == nil {
			written = absolute
		}
		return nil, fault.Wrap(fault.NotFound, err, "there is no configuration file %s; name another one with --config, or write one with: teleport configure --output=file://%s", path, written)
	case errors.Is(err, fs.ErrPermission):
		return nil, fault.Wrap(fault.AccessDenied, err, "the configuration file %s cannot be read by this user; run the command as the user who owns it", path)
	case err != nil:
		return nil, fault.Wrap(fault.BadParameter, err, "the configuration file %s cannot be read: %s", path, fault.Reason(err))
	}
	return Parse(data, path, env)
}

// FromBase64 reads a file that was handed over as text, as in the variable TELEPORT_CONFIG.
// The source names where the text came from.
func FromBase64(text, source string, env Env) (*Config, error) {
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "%s must hold a configuration file in base64; make it with: base64 -w0 teleport.yaml", source)
	}
	return Parse(data, source, env)
}

// Parse reads a file's text. The source, usually the file's path, begins each line of the error.
func Parse(data []byte, source string, env Env) (*Config, error) {
	p := &problems{source: source}
	f := &fileConfig{}
	assigner(p).Assign(reflect.ValueOf(f).Elem(), readFile(p, data), "")
	c := f.config(p, env)
	if err := p.err(); err != nil {
		return nil, err
	}
	c.Warnings = inOrder(p.warnings)
	return c, nil
}
