package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sallyport/internal/fault"
)

// ReadSecret returns the secret itself: the value, or the trimmed content of the file when the value is
// an absolute path. Errors name the file, never the secret.
func ReadSecret(valueOrPath string) (string, error) {
	if !filepath.IsAbs(valueOrPath) {
		return strings.TrimSpace(valueOrPath), nil
	}
	data, err := os.ReadFile(valueOrPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fault.Wrap(fault.NotFound, err, "there is no file %s with the join token; save the output of `tctl tokens add --type=db --format=text` in it", valueOrPath)
	case err != nil:
		return "", fault.Wrap(fault.BadParameter, err, "the file %s with the join token cannot be read: %s", valueOrPath, fault.Reason(err))
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return "", fault.New(fault.BadParameter, "the file %s with the join token is empty; save the output of `tctl tokens add --type=db --format=text` in it", valueOrPath)
	}
	return secret, nil
}

var pinForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// checkPin returns what is wrong with an entry of ca_pin, or "".
func checkPin(pin string) string {
	if filepath.IsAbs(pin) || pinForm.MatchString(strings.ToLower(pin)) {
		return ""
	}
	return "must be sha256: and 64 hexadecimal digits, as `tctl status` prints it, or the absolute path of a file with that"
}

// ReadPins returns the pins themselves, in lower case: files among the entries are replaced by their
// lines.
func ReadPins(entries []string) ([]string, error) {
	var pins []string
	for _, entry := range entries {
		if !filepath.IsAbs(entry) {
			if problem := checkPin(entry); problem != "" {
				return nil, fault.New(fault.BadParameter, "the CA pin %q %s", entry, problem)
			}
			pins = append(pins, strings.ToLower(entry))
			continue
		}
		data, err := os.ReadFile(entry)
		if err != nil {
			return nil, fault.Wrap(fault.BadParameter, err, "the file %s with the CA pin cannot be read: %s", entry, fault.Reason(err))
		}
		lines := strings.Fields(string(data))
		if len(lines) == 0 {
			return nil, fault.New(fault.BadParameter, "the file %s holds no CA pin; save the one that `tctl status` prints in it", entry)
		}
		for _, line := range lines {
			if !pinForm.MatchString(strings.ToLower(line)) {
				return nil, fault.New(fault.BadParameter, "the file %s holds something else than CA pins; each must be sha256: and 64 hexadecimal digits", entry)
			}
			pins = append(pins, strings.ToLower(line))
		}
	}
	return pins, nil
}
