package config

import (
	"net"
	"regexp"
	"strconv"
	"strings"
)

// address checks host:port. A missing port becomes the default one; an empty host is allowed for
// listeners only, where it means every address.
func (p *problems) address(path, text, defaultPort string, listener bool) string {
	withPort := text
	if !hasPort(text) && defaultPort != "" {
		withPort = net.JoinHostPort(strings.Trim(text, "[]"), defaultPort)
	}
	host, port, err := net.SplitHostPort(withPort)
	switch {
	case err != nil:
		p.add(path, "%q needs a host and a port, as in teleport.example.com:443", text)
	case host == "" && !listener:
		p.add(path, "%q needs a host before the port", text)
	case host != "" && !validHost(host):
		p.add(path, "%q is not a host name or an IP address", host)
	case !validPort(port, listener):
		p.add(path, "%q is not a port between 1 and 65535", port)
	}
	return withPort
}

// hasPort tells host:port from a host alone; an IPv6 address without brackets has no port.
func hasPort(text string) bool {
	if strings.HasPrefix(text, "[") {
		return strings.Contains(text, "]:")
	}
	return strings.Count(text, ":") == 1
}

// validPort allows 0 for listeners: the system chooses.
func validPort(port string, listener bool) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && (n > 0 || listener)
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9_]*[A-Za-z0-9])?)*\.?$`)

// endsInNumber matches no host name (RFC 1123, section 2.1), but a port in place of one.
var endsInNumber = regexp.MustCompile(`(^|\.)[0-9]+\.?$`)

func validHost(host string) bool {
	if address, zone, ok := strings.Cut(host, "%"); ok && zone != "" {
		host = address
	}
	return net.ParseIP(host) != nil || len(host) <= 253 && hostName.MatchString(host) && !endsInNumber.MatchString(host)
}

// server checks the address of an auth or proxy service, for which guides also write a web address.
func (p *problems) server(path, text, defaultPort string) string {
	if rest, ok := strings.CutPrefix(text, "https://"); ok {
		text, defaultPort = strings.TrimSuffix(rest, "/"), "443"
	}
	return p.address(path, text, defaultPort, false)
}

// hostLabels makes a cluster's name from a host's: lower-case letters, digits and hyphens between dots.
func hostLabels(host string) string {
	var labels []string
	for label := range strings.SplitSeq(strings.ToLower(host), ".") {
		label = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
				return r
			}
			return '-'
		}, label)
		if label = strings.Trim(label[:min(len(label), 63)], "-"); label != "" {
			labels = append(labels, label)
		}
	}
	if len(labels) == 0 {
		return "localhost"
	}
	return strings.Join(labels, ".")
}
