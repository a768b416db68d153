package access

import (
	"sallyport/internal/fault"
	"sallyport/internal/peer"
)

// CheckAddress refuses a user's certificate that is bound to another address than where it comes from, and one that is
// bound to none where the user's options ask for it. From is "host:port", or anything else when it is not known: then
// a bound certificate is refused.
func CheckAddress(pinned string, options SessionOptions, from string) error {
	switch {
	case pinned == "" && options.PinSourceIP:
		return fault.New(fault.AccessDenied, "your roles bind certificates to the address of their user and yours is bound to none; log in again with tsh login")
	case pinned != "" && !peer.Same(pinned, from):
		return fault.New(fault.AccessDenied, "your certificate is bound to another address; log in again with tsh login from here")
	}
	return nil
}
