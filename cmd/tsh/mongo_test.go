package main

import (
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/resource"
)

func TestConnectionStringsOfMongoDB(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		route client.Route
		want  string
	}{
		"MongoDB":        {client.Route{Name: "shop", Type: resource.TypeSelfHosted}, "mongodb://127.0.0.1:4711/shop?directConnection=true&serverSelectionTimeoutMS=20000"},
		"DocumentDB":     {client.Route{Name: "shop", Type: resource.TypeDocumentDB}, "mongodb://127.0.0.1:4711/shop?directConnection=true&retryWrites=false&serverSelectionTimeoutMS=20000"},
		"a strange name": {client.Route{Name: "a?b"}, "mongodb://127.0.0.1:4711/a%3Fb?directConnection=true&serverSelectionTimeoutMS=20000"},
	} {
		if got := mongoURL("127.0.0.1:4711", c.route.Name, c.route.Type); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
