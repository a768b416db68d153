package endpoint

import (
	"errors"
	"fmt"
	"net/netip"
)

var (
	// metadata holds the instance's own services over IPv6: its metadata, credentials of containers, time
	// ("Access instance metadata" in the EC2 user guide). Over IPv4 they are link-local.
	metadata = netip.MustParsePrefix("fd00:ec2::/32")
	thisHost = netip.MustParsePrefix("0.0.0.0/8")   // RFC 1122, section 3.2.1.3
	reserved = netip.MustParsePrefix("240.0.0.0/4") // RFC 1112, section 4, with the broadcast address
	// Prefixes of IPv6 that carry an address of IPv4, and at which byte.
	carriers = []struct {
		prefix netip.Prefix
		at     int
	}{
		{netip.MustParsePrefix("::/96"), 12},          // RFC 4291, section 2.5.5.1
		{netip.MustParsePrefix("64:ff9b::/96"), 12},   // RFC 6052
		{netip.MustParsePrefix("64:ff9b:1::/48"), 12}, // RFC 8215, in its longest form
		{netip.MustParsePrefix("2002::/16"), 2},       // RFC 3056
	}
)

// DialAllowed refuses addresses at which no database of AWS can be, and at which the host itself or the
// services that hand out its credentials can. It is asked for each address just before it is dialled,
// after names were resolved; addresses of IPv4 in the clothes of IPv6 are judged as what they carry.
func DialAllowed(addr netip.Addr) error {
	if !addr.IsValid() {
		return errors.New("there is no address to dial")
	}
	plain := addr.Unmap()
	refuse := func(what string) error {
		return fmt.Errorf("the address %s is %s, and no database of AWS is there", addr, what)
	}
	switch {
	case plain.Zone() != "":
		return refuse("bound to an interface")
	case plain.IsUnspecified(), thisHost.Contains(plain):
		return refuse("unspecified")
	case plain.IsLoopback():
		return refuse("this host's own")
	case plain.IsLinkLocalUnicast(), metadata.Contains(plain):
		return refuse("link-local or of the instance's metadata")
	case plain.IsMulticast(), reserved.Contains(plain):
		return refuse("no host's")
	}
	bytes := plain.As16()
	for _, carrier := range carriers {
		if !plain.Is6() || !carrier.prefix.Contains(plain) {
			continue
		}
		if err := DialAllowed(netip.AddrFrom4([4]byte(bytes[carrier.at : carrier.at+4]))); err != nil {
			return refuse("another form of an address that is refused")
		}
	}
	return nil
}
