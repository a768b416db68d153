package rds

import (
	"encoding/json"
	"net/http"
	"strings"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

// ProxyAuth is a secret with which a proxy logs in to its database.
type ProxyAuth struct {
	SecretARN string `json:"secret"`
	IAMAuth   string `json:"iam_auth"` // DISABLED (default) or REQUIRED
}

const (
	iamRequired = "REQUIRED"
	iamDisabled = "DISABLED"
)

// modifyProxy changes secrets and role only.
func (r *RDS) modifyProxy(c *fakeaws.Call) (wire.Fields, error) {
	name := c.Params.String("DBProxyName")
	p := r.proxies.Get(inventory.At(c), name)
	if p == nil {
		return nil, wire.StatusErrorf(http.StatusNotFound, "DBProxyNotFoundFault", "DB proxy %s not found", name)
	}
	if role := c.Params.String("RoleArn"); role != "" {
		if err := c.Authorize("iam:PassRole", role, nil); err != nil {
			return nil, err
		}
		p.Role = role
	}
	if c.Params.Has("Auth") {
		var auth []ProxyAuth
		for _, one := range c.Params.List("Auth") {
			a := ProxyAuth{SecretARN: one.String("SecretArn"), IAMAuth: one.String("IAMAuth")}
			switch {
			case one.String("AuthScheme") != "SECRETS":
				return nil, wire.Errorf("InvalidParameterValue", "Invalid AuthScheme")
			case !strings.HasPrefix(a.SecretARN, p.Place.ARN("secretsmanager", "secret:")):
				return nil, wire.Errorf("InvalidParameterValue", "Invalid secret ARN: %s", a.SecretARN)
			case a.IAMAuth != "" && a.IAMAuth != iamRequired && a.IAMAuth != iamDisabled:
				return nil, wire.Errorf("InvalidParameterValue", "Invalid IAMAuth: %s", a.IAMAuth)
			}
			auth = append(auth, a)
		}
		p.Auth = auth
	}
	return wire.Of("DBProxy", p.fields()), nil
}

// secret reads the proxy's secrets, as its role, and finds the one that is for a user.
func (p *Proxy) secret(w *fakeaws.World, user string) (fakeaws.Secret, bool) {
	var auth []ProxyAuth
	var role string
	w.Update(func() { auth, role = p.Auth, p.Role })
	for _, one := range auth {
		params, err := json.Marshal(map[string]string{"SecretId": one.SecretARN})
		if err != nil {
			continue
		}
		answer, err := w.CallAsService(fakeaws.ServiceCall{Caller: "rds.amazonaws.com", Role: role, Region: p.Region, Service: "secretsmanager",
			Operation: "GetSecretValue", Params: params})
		if err != nil {
			continue // the next one may be the user's
		}
		var content struct{ Username, Password string }
		for _, field := range answer {
			if text, ok := field.Value.(string); ok && field.Name == "SecretString" && json.Unmarshal([]byte(text), &content) != nil {
				content.Username = ""
			}
		}
		if content.Username == user && user != "" {
			return fakeaws.Secret{User: user, Password: content.Password, IAMOff: one.IAMAuth != iamRequired}, true
		}
	}
	return fakeaws.Secret{}, false
}
