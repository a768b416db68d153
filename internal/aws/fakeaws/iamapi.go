package fakeaws

import (
	"sallyport/internal/aws/fakeaws/wire"
)

func iamService() *Service {
	return &Service{Name: "iam", Scope: "iam", Protocol: wire.Query, Version: "2010-05-08", Global: true,
		Namespace: "https://iam.amazonaws.com/doc/2010-05-08/"}
}
