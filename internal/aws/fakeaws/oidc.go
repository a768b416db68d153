package fakeaws

// Issuer is an OIDC issuer.
type Issuer struct {
	URL string
}
