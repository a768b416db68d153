package service_test

import (
	"slices"
	"testing"

	"sallyport/internal/resource"
	"sallyport/internal/service"
)

// TestServedProtocolsAreThoseWithAnEngine keeps what clients are told about protocols true.
func TestServedProtocolsAreThoseWithAnEngine(t *testing.T) {
	for _, protocol := range resource.Protocols() {
		if engine := slices.Contains(service.Protocols(), protocol); engine != resource.Served(protocol) {
			t.Errorf("%s: has an engine: %t, is called served: %t", protocol, engine, resource.Served(protocol))
		}
	}
}
