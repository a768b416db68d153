package fakeaws

import (
	"net/http"
	"slices"
	"strings"
	"unicode"

	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/sigv4"
	"sallyport/internal/aws/fakeaws/wire"
)

func iamService() *Service {
	return &Service{Name: "iam", Scope: "iam", Protocol: wire.Query, Version: "2010-05-08", Global: true,
		Namespace:  "https://iam.amazonaws.com/doc/2010-05-08/",
		Operations: slices.Concat(policyOperations(), identityOperations("Role"), identityOperations("User"), makingOperations())}
}

func noSuchEntity(format string, args ...any) *wire.Error {
	return wire.StatusErrorf(http.StatusNotFound, "NoSuchEntity", format, args...)
}

func limitExceeded(format string, args ...any) *wire.Error {
	return wire.StatusErrorf(http.StatusConflict, "LimitExceeded", format, args...)
}

func alreadyExists(format string, args ...any) *wire.Error {
	return wire.StatusErrorf(http.StatusConflict, "EntityAlreadyExists", format, args...)
}

// size is a document's size as IAM counts it: without white space.
func size(document string) int {
	n := 0
	for _, r := range document {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

func parseDocument(document string, kind iam.Kind) error {
	if document == "" {
		return constraint("", "policyDocument", "Member must have length greater than or equal to 1")
	}
	if _, err := iam.Parse(document, kind); err != nil {
		message := err.Error()
		return wire.Errorf("MalformedPolicyDocument", "%s", strings.ToUpper(message[:1])+message[1:])
	}
	return nil
}

// encoded is a document as IAM gives it back.
func encoded(document string) string { return sigv4.Encode(document) }

// identity is the role or user that a call is about.
type identity struct {
	*Permissions
	kind, name, arn string // kind is Role or User
	role            *Role
	user            *User
}

// limits of the two kinds of identity; sizes are in bytes without white space.
var inlineLimit = map[string]int{"Role": 10240, "User": 2048}

const attachedLimit = 10

// name says which role or user a call is about; a call about "the user" without a name is about the caller.
func (c *Call) identityName(kind string) (string, error) {
	name := c.Params.String(kind + "Name")
	if name != "" {
		return name, nil
	}
	if kind == "User" && c.Operation.Name == "GetUser" {
		if c.Principal.User == nil {
			return "", wire.Errorf("ValidationError", "Must specify userName when calling with non-User credentials")
		}
		return c.Principal.User.Name, nil
	}
	return "", constraint("", strings.ToLower(kind[:1])+kind[1:]+"Name", "Member must have length greater than or equal to 1")
}

// find finds the role or user; it is nil when there is none, but the ARN is told all the same.
func (c *Call) find(kind string) (*identity, string, error) {
	name, err := c.identityName(kind)
	if err != nil {
		return nil, "", err
	}
	if kind == "Role" {
		if r := c.Account.Roles[name]; r != nil {
			return &identity{&r.Permissions, kind, name, r.ARN(), r, nil}, r.ARN(), nil
		}
		return nil, c.Account.arn("iam", "", "role/"+name), nil
	}
	if u := c.Account.Users[name]; u != nil {
		return &identity{&u.Permissions, kind, name, u.ARN(), nil, u}, u.ARN(), nil
	}
	return nil, c.Account.arn("iam", "", "user/"+name), nil
}

// must finds the role or user, or answers that there is none.
func (c *Call) must(kind string) (*identity, error) {
	found, _, err := c.find(kind)
	if err != nil {
		return nil, err
	}
	if found == nil {
		name, _ := c.identityName(kind)
		return nil, noSuchEntity("The %s with name %s cannot be found.", strings.ToLower(kind), name)
	}
	return found, nil
}

// mayChange refuses changes of the roles that belong to IAM Identity Center.
func (i *identity) mayChange() error {
	if i.role != nil && strings.HasPrefix(i.name, "AWSReservedSSO_") {
		return wire.Errorf("UnmodifiableEntity", "Cannot perform the operation on the protected role '%s' - this role is only modifiable by AWS", i.name)
	}
	return nil
}

func tagList(tags map[string]string) any {
	if len(tags) == 0 {
		return nil
	}
	keys := make([]string, 0, len(tags))
	for key := range tags {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return wire.ListOf("", keys, func(key string) any { return wire.Of("Key", key, "Value", tags[key]) })
}

func readTags(p wire.Params) map[string]string {
	tags := map[string]string{}
	for _, tag := range p.Tags("Tags") {
		tags[tag[0]] = tag[1]
	}
	return tags
}

// requestTags are the condition keys of operations that tag what they make.
func requestTags(c *Call) iam.Values {
	values := iam.Values{}
	for _, tag := range c.Params.Tags("Tags") {
		values["aws:RequestTag/"+tag[0]] = []string{tag[1]}
		values["aws:TagKeys"] = append(values["aws:TagKeys"], tag[0])
	}
	return values
}
