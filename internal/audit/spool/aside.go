package spool

import (
	"fmt"
	"path/filepath"

	"sallyport/internal/durable"
)

// SetAside keeps a record that the audit log refuses in a file of the spool's directory, which nothing deletes,
// and returns the file's name.
func (s *Spool) SetAside(stream string, sequence uint64, line []byte) (name string, err error) {
	name = fmt.Sprintf("refused-%s-%d.json", stream, sequence)
	if err := durable.WriteFile(filepath.Join(s.config.Dir, name), line, 0o600); err != nil {
		return "", fmt.Errorf("setting an audit record aside: %w", err)
	}
	return name, nil
}
