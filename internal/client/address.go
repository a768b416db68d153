package client

import "net"

// DefaultPort is where proxies listen when nobody says otherwise.
const DefaultPort = "3080"

// WithPort returns the address of a proxy with the default port, if it has none.
func WithPort(address string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(address, DefaultPort)
}
