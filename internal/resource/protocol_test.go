package resource_test

import (
	"errors"
	"testing"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/resource"
)

// TestServedProtocolsAreKnownToAll has what others than the engine need to know of a protocol: each of them refuses what it does
// not know.
func TestServedProtocolsAreKnownToAll(t *testing.T) {
	t.Parallel()
	served := 0
	for _, name := range resource.Protocols() {
		p := resource.ProtocolNamed(name)
		if p.Name != name {
			t.Errorf("%s is found as %q", name, p.Name)
		}
		if !p.Served {
			continue
		}
		served++
		if p.TLS == resource.UnknownOpening {
			t.Errorf("%s: it is not said how TLS begins", name)
		}
		if p.Asker == resource.UnknownAsker {
			t.Errorf("%s: it is not said who asks for cancels", name)
		}
		for _, scheme := range p.Schemes {
			if _, err := endpoint.Parse(scheme + "://db.example.com:1"); !errors.Is(err, endpoint.ErrNotAWS) {
				t.Errorf("%s: addresses in AWS cannot be written with the scheme %s: %v", name, scheme, err)
			}
		}
	}
	if served < 4 {
		t.Errorf("only %d protocols are served", served)
	}
}

func TestAnUnknownProtocolHasNothingOfAnother(t *testing.T) {
	t.Parallel()
	p := resource.ProtocolNamed("gopher")
	if p.Served || p.OwnNames || p.TLS != resource.UnknownOpening || p.Asker != resource.UnknownAsker || p.Schemes != nil || p.UsualAccount != "" {
		t.Errorf("it is taken for %+v", p)
	}
}
