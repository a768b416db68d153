package auth_test

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"sallyport/internal/auth"
	_ "sallyport/internal/authapi/sallyportv1" // registers the services
)

// servedByProxy is the one service that the auth server does not serve.
const servedByProxy = "sallyport.v1.TunnelService"

func TestEveryMethodHasARule(t *testing.T) {
	t.Parallel()
	rules := map[string]bool{}
	for _, procedure := range auth.Procedures() {
		rules[procedure] = true
	}
	found := 0
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if file.Package() != "sallyport.v1" {
			return true
		}
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			if service.FullName() == servedByProxy {
				continue
			}
			for j := range service.Methods().Len() {
				procedure := "/" + string(service.FullName()) + "/" + string(service.Methods().Get(j).Name())
				found++
				if !rules[procedure] {
					t.Errorf("%s has no rule", procedure)
				}
				delete(rules, procedure)
			}
		}
		return true
	})
	if found < 20 {
		t.Fatalf("only %d methods were found", found)
	}
	for procedure := range rules {
		t.Errorf("%s has a rule and does not exist", procedure)
	}
}
