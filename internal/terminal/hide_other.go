//go:build !linux && !darwin

package terminal

import "os"

// hide does nothing here: reading the answer hides what is typed from then on.
func hide(*os.File) error { return nil }
