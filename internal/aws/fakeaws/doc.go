// Package fakeaws is a local AWS that checks what it is told: signatures, trust policies, permissions, tokens.
//
// It is for tests and demonstrations and shares no code with the product. Nothing is accepted that AWS would not accept:
// requests are signed with keys this world issued, and every operation is denied unless a policy allows it. The clock
// comes from outside, faults can be injected, and every call is in the journal.
//
// # Use
//
//	w, err := fakeaws.New(fakeaws.Config{})            // STS and IAM are in it
//	w.Add(rds.New(w).Service())                        // more services
//	account := w.Account("aws", "123456789012")
//	role, err := account.AddRole(fakeaws.Role{Name: "agent", Trust: `{…}`,
//		Permissions: fakeaws.Permissions{Inline: map[string]string{"access": `{…}`}}})
//	keys := role.Session("i-0123", time.Hour)          // or user.CreateKeys()
//	server, err := w.Start(ctx)                        // server.URL goes into AWS_ENDPOINT_URL
//	defer server.Stop()
//	… w.Inject(fakeaws.Fault{Service: "rds", Operation: "DescribeDBInstances", Kind: fakeaws.Throttle, Times: 2})
//	… w.Calls("sts", "AssumeRole")                     // who called with what, and which statement decided
//
// # What is there
//
// STS and IAM are in every world. Below this package are rds (with DocumentDB), redshift, redshiftserverless, elasticache,
// memorydb, opensearch, secretsmanager (with kms behind it), ec2, organizations and accountservice. Each has New, Service,
// and Add for its resources, of which only account, region and name must be given; later they are changed through the
// same pointers inside World.Update. Add makes endpoints known to the verifier by itself. rds.Many makes thousands.
//
// Package fakeawstest starts a world for a test, with clients of the SDK and of Debian's command line. Package dataplane
// runs real PostgreSQL and MariaDB servers behind the verifier, and fronts that are Redshift, RDS Proxy, RDS for MySQL and
// DocumentDB at login. Package realnames runs tests in a network of their own under AWS's names; the command does the same
// for other commands:
//
//	fakeaws run world.yaml sh -c 'psql "host=orders.cluster-….us-west-1.rds.amazonaws.com …"'
//
// # Adding a service
//
// A service is a value of type Service with a table of Operations, made by a function in a package of its own below this
// one (fakeaws/rds), which keeps the service's state:
//
//	func (r *RDS) Service() *fakeaws.Service {
//		return &fakeaws.Service{Name: "rds", Scope: "rds", Protocol: wire.Query, Version: "2014-10-31",
//			Namespace: "http://rds.amazonaws.com/doc/2014-10-31/",
//			Operations: []fakeaws.Operation{
//				{Name: "DescribeDBInstances", Action: "rds:DescribeDBInstances", Resources: r.instances, Handle: r.describeInstances},
//			}}
//	}
//
//	func (r *RDS) describeInstances(c *fakeaws.Call) (wire.Fields, error) {
//		size, err := c.Params.Int("MaxRecords", 100)
//		…
//		for _, filter := range c.Params.List("Filters") { filter.String("Name"); filter.Strings("Values") }
//		page, next, err := fakeaws.Page(c, all, size, "Marker", "InvalidParameterValue")
//		if err != nil { return nil, err }
//		return wire.Of("Marker", wire.Optional(next), "DBInstances", wire.ListOf("DBInstance", page, instance)), nil
//	}
//
// Params read the same in all protocols: Query and EC2 names with dots and numbers are nested, JSON is as it is. Answers
// are wire.Fields in all protocols: lists name their elements for XML (wire.List), times and blobs are encoded as the
// protocol wants. Errors are wire.Errorf(code, …) or wire.StatusErrorf(status, code, …), with JSONCode where the JSON
// protocols say otherwise. Handlers run one at a time under the world's lock and must not call methods of World that take
// it (all but Now); tests change state inside World.Update. Accounts differ by c.Account, regions by c.Region: keep
// resources by both. A second API with the same signing name (DocumentDB signs as RDS) is a Service of its own with its
// own Version or Target, or more operations of the first.
//
// Every operation is called by Debian's AWS command line once (awsclitest), and World.Operations says which were not.
// The service joins the table in cmd/fakeaws, and reads its part of a world file in LoadState.
//
// # Data planes
//
// A database server asks the verifier: World.Verify, its unix socket (ListenVerifier), or "fakeaws verify" from a PAM
// script. It must be known as a Target, by exactly the host that tokens are signed for; AddTarget is for set-up, not for
// handlers, which change the Target that it returned. Handlers that issue passwords use Call.IssuePassword. A server with
// several endpoints needs to know which one a client dialled: see package dataplane.
//
// # Where it differs from AWS
//
//   - Policies about principals with a star ask for an identity policy too, within one account.
//   - /pkcs7 of the instance identity is signed with RSA and SHA-256, as /rsa2048 is; AWS uses DSA and SHA-1 for it.
//   - Web identity tokens are checked with the keys of this world's issuers; nothing is fetched.
//   - ModifyDBInstance and ModifyDBCluster change nothing but IAM authentication, and refuse anything else. ModifyDBProxy
//     changes secrets and role.
//   - A name that Redshift maps to IAM:user must exist in the database as user or as IAM:user; AWS makes the latter.
//   - DescribeDBProxyEndpoints lists default endpoints too, marked as such. Whether AWS does is not documented.
//   - There are no service control policies, no groups of users, and no policies managed by AWS.
package fakeaws
