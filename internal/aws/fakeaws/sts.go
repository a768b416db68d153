package fakeaws

import (
	"sallyport/internal/aws/fakeaws/wire"
)

func stsService() *Service {
	return &Service{Name: "sts", Scope: "sts", Protocol: wire.Query, Version: "2011-06-15",
		Namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		Operations: []Operation{
			{Name: "GetCallerIdentity", Handle: getCallerIdentity}, // always allowed
		}}
}

func getCallerIdentity(c *Call) (wire.Fields, error) {
	return wire.Of("Arn", c.Principal.ARN(), "UserId", c.Principal.UserID(), "Account", c.Account.ID), nil
}
