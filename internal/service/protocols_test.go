package service_test

import (
	"testing"

	"sallyport/internal/engine"
	"sallyport/internal/resource"
	"sallyport/internal/service"
)

// TestServedProtocolsAreThoseWithAnEngine keeps what clients are told about protocols true.
func TestServedProtocolsAreThoseWithAnEngine(t *testing.T) {
	for _, protocol := range resource.Protocols() {
		if _, engine := service.Engines()[protocol]; engine != resource.Served(protocol) {
			t.Errorf("%s: has an engine: %t, is called served: %t", protocol, engine, resource.Served(protocol))
		}
	}
}

// TestEnginesCanWhatTheirProtocolsNeed demands of each engine what others call it for.
func TestEnginesCanWhatTheirProtocolsNeed(t *testing.T) {
	for name, entry := range service.Engines() {
		p := resource.ProtocolNamed(name)
		if _, ok := entry.Engine.(engine.Checker); !ok {
			t.Errorf("%s: tctl db check cannot check databases; the engine is to be an engine.Checker", name)
		}
		asked := p.Asker == resource.AskerByAddress || p.Asker == resource.AskerByOwner
		if _, ok := entry.Engine.(engine.Canceller); ok != asked {
			t.Errorf("%s: is an engine.Canceller: %t, is asked for cancels: %t", name, ok, asked)
		}
		if _, ok := entry.Engine.(engine.Greeted); ok != (p.TLS == resource.TLSAfterGreeting) {
			t.Errorf("%s: is engine.Greeted: %t, greets before TLS: %t", name, ok, p.TLS == resource.TLSAfterGreeting)
		}
	}
}
