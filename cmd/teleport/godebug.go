package main

import (
	"slices"
	"strings"

	"sallyport/internal/fault"
)

// weakening are the settings of the Go runtime's variable GODEBUG that loosen how connections and certificates
// are checked, or that write what connections carry into the log.
var weakening = []string{
	"cryptocustomrand", "http2debug", "rsa1024min", "tls10server", "tls3des", "tlsmaxrsasize", "tlsrsakex", "tlssha1", "tlsunsafeekm",
	"x509negativeserial", "x509rsacrt", "x509sha1", "x509usefallbackroots", "x509usepolicies",
}

// checkGODEBUG refuses an environment in which the promises about connections would not hold.
func checkGODEBUG(value string) error {
	for setting := range strings.SplitSeq(value, ",") {
		name, _, _ := strings.Cut(setting, "=")
		if name = strings.TrimSpace(name); slices.Contains(weakening, name) {
			return fault.New(fault.BadParameter, "the variable GODEBUG sets %s, which weakens how connections are secured; start without it", name)
		}
	}
	return nil
}
