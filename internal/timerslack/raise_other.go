//go:build !linux

package timerslack

// Raise does nothing: only Linux has this.
func Raise() {}
