package authapi

import (
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/cancelkey"
)

// CancelKeyToWire returns a request to cancel as agents and proxies tell it to each other. It shares the key's secret.
func CancelKeyToWire(key cancelkey.Key) *sallyportv1.CancelKey {
	return &sallyportv1.CancelKey{
		ProcessId: key.ProcessID, Secret: key.Secret, ClientAddress: key.ClientAddress, Request: key.Request[:], Protocol: key.Protocol}
}

// CancelKeyFromWire reads a request to cancel. One that brings no id, or not a whole one, is not the same as any other.
func CancelKeyFromWire(wire *sallyportv1.CancelKey) cancelkey.Key {
	key := cancelkey.Key{
		Protocol: wire.GetProtocol(), ProcessID: wire.GetProcessId(), Secret: wire.GetSecret(), ClientAddress: wire.GetClientAddress()}
	copy(key.Request[:], wire.GetRequest())
	return key
}

// FoundRequest reads which request's key was found. What names none is not ok.
func FoundRequest(wire *sallyportv1.CancelFound) (request cancelkey.ID, ok bool) {
	if len(wire.GetRequest()) != len(request) {
		return request, false
	}
	return cancelkey.ID(wire.GetRequest()), true
}
