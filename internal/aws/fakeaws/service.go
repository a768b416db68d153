package fakeaws

import (
	"net/http"
	"slices"

	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/wire"
)

// Service is one API of AWS: how its requests are recognised and what it answers.
type Service struct {
	Name      string        // for faults and the journal: rds, redshift-serverless
	Scope     string        // the signing name in the credential scope
	Hosts     []string      // first labels of its host names; default: Scope. A label with -fips added is taken as well
	Protocol  wire.Protocol //
	Version   string        // Query and EC2: the Version parameter
	Target    string        // JSON: what stands before the dot in X-Amz-Target
	Namespace string        // Query and EC2: the XML name space of answers
	Global    bool          // one host for all regions, signed for us-east-1 (cn-north-1, us-gov-west-1): IAM
	// LoadState takes the service's part of a world file. decode fills a value as encoding/json would, strictly.
	LoadState  func(w *World, decode func(into any) error) error
	Operations []Operation
}

// Operation is one operation of a service.
type Operation struct {
	Name string
	// Path is method and path of a REST operation, as http.ServeMux writes them: "GET /2021-01-01/domain". What {name}
	// matches, and the query's parameters, are found among the call's Params.
	Path string
	// Action is the IAM action needed. "" means that the caller needs no permission, or that Handle asks by itself.
	Action string
	// Resources are the ARNs on which Action is needed, each of them; nil means "*". It may fail with a wire.Error for a
	// request that is wrong; for a resource that does not exist name its ARN all the same, since AWS tells "access denied"
	// before "not found".
	Resources func(*Call) ([]string, error)
	// Context adds condition keys (rds:DatabaseName, aws:ResourceTag/x …).
	Context func(*Call) iam.Values
	// Anonymous operations are called without a signature, and only so.
	Anonymous bool
	// Handle answers. It runs alone: no lock is needed for the state of the world. Errors are *wire.Error; any other is
	// answered as InternalFailure.
	Handle func(*Call) (wire.Fields, error)
}

// Call is one call of an operation, given to the functions of an Operation.
type Call struct {
	World     *World
	Service   *Service
	Operation *Operation
	Principal Principal
	Account   *Account // the caller's; nil for anonymous calls
	Region    string   // for which the request was signed
	Params    wire.Params
	Request   *http.Request // its body was read

	entry  *Entry
	paging pagingFault
}

// ARN builds an ARN in the caller's account and the call's region.
func (c *Call) ARN(service, resource string) string {
	return c.Account.arn(service, c.Region, resource)
}

// Note writes a parameter that matters (an external id) into the journal's entry of this call. No secrets.
func (c *Call) Note(name, value string) {
	if c.entry.Notes == nil {
		c.entry.Notes = map[string]string{}
	}
	c.entry.Notes[name] = value
}

// Authorize asks for one more permission, on a resource without a policy of its own, and answers AccessDenied otherwise.
func (c *Call) Authorize(action, resource string, context iam.Values) error {
	decision := c.decide(c.Principal, action, resource, context)
	if decision.Allowed {
		return nil
	}
	return accessDenied(c.Principal, action, resource, decision.Because(action))
}

// AuthorizeOn asks for one more permission, on a resource that has a policy of its own, in the account that owns it.
func (c *Call) AuthorizeOn(policy *iam.Policy, owner, action, resource string, context iam.Values) error {
	decision := iam.EvaluateResource(c.World.caller(c.Principal), iam.Request{Action: action, Resource: resource,
		Context: c.context(c.Principal, context)}, iam.Source{Name: resource, Policy: policy}, owner)
	c.entry.check(action, resource, decision)
	if decision.Allowed {
		return nil
	}
	return accessDenied(c.Principal, action, resource, decision.Because(action))
}

// Secret remembers something that was told in confidence and may be found in no log.
func (c *Call) Secret(s string) {
	if s != "" {
		c.World.secret(s)
	}
}

// Instances are the EC2 instances with metadata in the caller's account and the call's region, to be read only.
func (c *Call) Instances() []*Instance {
	var all []*Instance
	for _, i := range c.World.instances {
		if i.Account == c.Account && i.Region == c.Region {
			all = append(all, i)
		}
	}
	return all
}

// Page cuts one page out of all, as the paging parameters of the request and the faults injected say.
func Page[T any](c *Call, all []T, size int, tokenParameter, badTokenCode string) (page []T, next string, err error) {
	token := c.Params.String(tokenParameter)
	page, next, err = wire.Page(all, size, token, badTokenCode)
	if err != nil || c.paging == pagingNormal {
		return page, next, err
	}
	if token == "" {
		token = wire.FirstPageToken
	}
	if c.paging == pagingEmpty { // the rest follows after it
		page = nil
	}
	return page, token, nil
}

// Operations lists the names of the operations that services answer, for checks that all of them were called.
func (w *World) Operations(services ...string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, s := range w.services {
		if slices.Contains(services, s.Name) {
			for _, o := range s.Operations {
				names = append(names, o.Name)
			}
		}
	}
	return names
}
