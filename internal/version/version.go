// Package version says which build of the program this is, the same for all three commands.
package version

import (
	"runtime"
	"runtime/debug"
)

// Version is the release, without a leading v.
const Version = "0.1.0"

// Gitref returns the revision that the binary was built from, with "-dirty" when there were changes
// besides; empty when it was not built from a checkout.
func Gitref() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	ref, dirty := "", ""
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			ref = setting.Value[:min(12, len(setting.Value))]
		case "vcs.modified":
			if setting.Value == "true" {
				dirty = "-dirty"
			}
		}
	}
	return ref + dirty
}

// String returns the line that `version` prints, without a line end.
func String() string { return "Sallyport v" + Version + " git:" + Gitref() + " " + runtime.Version() }

// Info is the same for programs.
type Info struct {
	Version string `json:"version"`
	Gitref  string `json:"gitref"`
	Runtime string `json:"runtime"`
}

// Get returns which build this is.
func Get() Info { return Info{Version, Gitref(), runtime.Version()} }
