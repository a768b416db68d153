package main

import (
	"context"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// listResources returns all resources of a kind.
func listResources(ctx context.Context, api *authapi.Client, kind string, secrets bool) ([]resource.Resource, error) {
	all := []resource.Resource{}
	token := ""
	for {
		res, err := api.Resources.ListResources(ctx, &sallyportv1.ListResourcesRequest{Kind: kind, WithSecrets: secrets, PageToken: token})
		if err != nil {
			return nil, err
		}
		for _, wire := range res.GetResources() {
			r, err := resource.Decode(wire.GetKind(), wire.GetJson())
			if err != nil {
				return nil, err
			}
			all = append(all, r)
		}
		if token = res.GetNextPageToken(); token == "" {
			return all, nil
		}
	}
}

func getResource(ctx context.Context, api *authapi.Client, ref reference, secrets bool) (resource.Resource, error) {
	res, err := api.Resources.GetResource(ctx, &sallyportv1.GetResourceRequest{Kind: ref.kind, Name: ref.name, WithSecrets: secrets})
	if err != nil {
		return nil, explainNone(err, ref)
	}
	return resource.Decode(ref.kind, res.GetResource().GetJson())
}

func deleteResource(ctx context.Context, api *authapi.Client, ref reference) error {
	_, err := api.Resources.DeleteResource(ctx, &sallyportv1.DeleteResourceRequest{Kind: ref.kind, Name: ref.name})
	return explainNone(err, ref)
}

// explainNone puts into words that what was named does not exist.
func explainNone(err error, ref reference) error {
	if fault.Is(err, fault.NotFound) {
		return errNone(ref)
	}
	return err
}

func errNone(ref reference) error {
	list := "tctl get " + ref.kind
	switch ref.kind {
	case resource.KindUser:
		list = "tctl users ls"
	case resource.KindToken:
		list = "tctl tokens ls"
	}
	return fault.New(fault.NotFound, "%s %q does not exist; see %s", ref.kind, ref.shown(), list)
}

func wireOf(r resource.Resource) (*sallyportv1.Resource, error) {
	json, err := resource.Encode(r)
	return &sallyportv1.Resource{Kind: r.GetKind(), Name: r.GetName(), Json: json}, err
}

// putResource writes a resource and reports whether it is new.
func putResource(ctx context.Context, api *authapi.Client, r resource.Resource) (created bool, err error) {
	wire, err := wireOf(r)
	if err != nil {
		return false, err
	}
	res, err := api.Resources.PutResource(ctx, &sallyportv1.PutResourceRequest{Resource: wire})
	return res.GetCreated(), err
}

func createResource(ctx context.Context, api *authapi.Client, r resource.Resource) error {
	wire, err := wireOf(r)
	if err != nil {
		return err
	}
	_, err = api.Resources.CreateResource(ctx, &sallyportv1.CreateResourceRequest{Resource: wire})
	return err
}
