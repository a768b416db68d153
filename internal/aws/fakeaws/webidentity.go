package fakeaws

import (
	"net/http"
	"slices"
	"strings"

	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/wire"
)

func assumeRoleWithWebIdentity(c *Call) (wire.Fields, error) {
	c.noteAssumption()
	in, err := readAssumption(c)
	if err != nil {
		return nil, err
	}
	role := c.World.roleByARN(in.roleARN)
	const action = "sts:AssumeRoleWithWebIdentity"
	denied := wire.StatusErrorf(http.StatusForbidden, "AccessDenied", "Not authorized to perform %s", action)
	if role == nil {
		c.entry.check(action, in.roleARN, iam.Decision{Layer: iam.LayerResource})
		return nil, denied
	}
	claims, provider, err := c.World.webIdentity(role.account, c.Params.String("WebIdentityToken"))
	if err != nil {
		return nil, err
	}
	trust, err := iam.Parse(role.Trust, iam.Trust)
	if err != nil {
		return nil, err
	}
	values := in.context(role)
	prefix := strings.TrimPrefix(provider.URL, "https://")
	values[prefix+":sub"], values[prefix+":aud"] = []string{claims.Subject}, claims.audiences
	values["aws:FederatedProvider"] = []string{provider.ARN}
	caller := iam.Caller{Partition: role.account.Partition, FederatedProvider: provider.ARN}
	decision := iam.EvaluateResource(caller, iam.Request{Action: action, Resource: in.roleARN, Context: values},
		iam.Source{Name: "trust of " + role.Name, Policy: trust}, role.account.ID)
	c.entry.check(action, in.roleARN, decision)
	if !decision.Allowed {
		return nil, denied
	}
	if err := in.checkDuration(role, false); err != nil {
		return nil, err
	}
	session, err := in.sessionPolicies(c.World, role.account)
	if err != nil {
		return nil, err
	}
	issued := role.session(in.sessionName, in.duration)
	issued.principal.session = session
	c.Note("Subject", claims.Subject)
	return append(in.answer(issued), wire.Of("SubjectFromWebIdentityToken", claims.Subject,
		"Audience", claims.audiences[0], "Provider", provider.ARN)...), nil
}

// webIdentity checks a token against the providers of an account.
func (w *World) webIdentity(a *Account, token string) (webIdentity, *Provider, error) {
	invalid := func(message string) error { return wire.Errorf("InvalidIdentityToken", "%s", message) }
	claims, header, signed, signature, err := readToken(token)
	if err != nil {
		return claims, nil, invalid(strings.ToUpper(err.Error()[:1]) + err.Error()[1:])
	}
	provider := a.Providers[a.arn("iam", "", "oidc-provider/"+strings.TrimPrefix(claims.Issuer, "https://"))]
	if provider == nil {
		return claims, nil, invalid("No OpenIDConnect provider found in your account for " + claims.Issuer)
	}
	issuer := w.issuers[claims.Issuer]
	if issuer == nil || !issuer.verify(header.Alg, header.Kid, signed, signature) {
		return claims, nil, invalid("Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements")
	}
	now := w.Now().Unix()
	if claims.Expires <= now || claims.NotBefore > now+int64(maxSkew.Seconds()) {
		return claims, nil, wire.Errorf("ExpiredTokenException", "Token expired: current date/time %d must be before the expiration date/time %d", now, claims.Expires)
	}
	if !slices.ContainsFunc(claims.audiences, func(audience string) bool { return slices.Contains(provider.ClientIDs, audience) }) {
		return claims, nil, invalid("Incorrect token audience")
	}
	return claims, provider, nil
}
