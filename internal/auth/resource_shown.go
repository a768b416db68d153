package auth

import (
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/resource"
)

// keepSystemFields carries over what writers cannot set.
func keepSystemFields(r, old resource.Resource) {
	switch r := r.(type) {
	case *resource.User:
		r.Spec.CreatedBy = nil
		if old, ok := old.(*resource.User); ok {
			r.Spec.CreatedBy = old.Spec.CreatedBy
		}
	}
}

// toWire returns a resource for the API.
func toWire(r resource.Resource, secrets bool) (*sallyportv1.Resource, error) {
	if !secrets {
		r = resource.WithoutSecrets(r)
		r.Meta().Name = shownName(r)
	}
	name := r.GetName()
	if server, ok := r.(*resource.DatabaseServer); ok {
		name += "/" + server.Spec.HostID
	}
	json, err := resource.Encode(r)
	return &sallyportv1.Resource{Kind: r.GetKind(), Name: name, Json: json}, err
}

// shownName is a resource's name in messages and events: a token's may be its secret.
func shownName(r resource.Resource) string {
	if token, ok := r.(*resource.Token); ok {
		return token.ShownName()
	}
	return r.GetName()
}

func shortSecret(kind, name string) string {
	if kind != resource.KindToken {
		return name
	}
	return resource.MaskToken(name)
}
