package fakeaws

import (
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/sigv4"
)

// The services whose data planes the verifier judges.
const (
	RDSConnect         = "rds-db"
	ElastiCacheConnect = "elasticache"
	MemoryDBConnect    = "memorydb"
	Redshift           = "redshift"
	RedshiftServerless = "redshift-serverless"
)

// Target is a server whose logins the verifier judges. A server with several endpoints is several targets.
type Target struct {
	Service string
	// Host is what a token must be signed for: name:port for RDS, RDS Proxy and custom endpoints; the name of the
	// replication group, cache or cluster for ElastiCache and MemoryDB. For Redshift it is the server's host name.
	Host       string
	Account    *Account
	Region     string
	ResourceID string            // RDS: db-…, cluster-… or prx-…; Redis: the name in the ARN; Redshift: what passwords are issued for
	Serverless bool              // ElastiCache Serverless
	Users      map[string]string // Redis: ids of the users with IAM authentication, by their names
	IAMOff     bool              // IAM authentication is not switched on
	// RedisAccounts says what servers of Redis know of an account by its name. It is called under the world's lock.
	RedisAccounts func(name string) (RedisAccount, bool)
	// Secret finds what an RDS Proxy logs in with for a user; nil for all others. It is called without the world's lock.
	Secret func(user string) (Secret, bool)
}

// Secret is what an RDS Proxy logs in to its database with.
type Secret struct {
	User     string `json:"user"`
	Password string `json:"password"`
	IAMOff   bool   `json:"iam_off"` // users show the proxy the password itself
}

// ProxySecret finds what the RDS Proxy with the endpoint host:port logs in with for a user.
func (w *World) ProxySecret(host, user string) (Secret, bool) {
	w.mu.Lock()
	target := w.servers[RDSConnect+" "+host]
	w.mu.Unlock()
	if target == nil || target.Secret == nil {
		return Secret{}, false
	}
	return target.Secret(user)
}

// Login is what a data-plane server was told.
type Login struct {
	Service  string `json:"service"`
	Host     string `json:"host"` // the server's own, as in Target.Host
	User     string `json:"user"`
	Token    string `json:"token"`    // or the password, for Redshift
	Database string `json:"database"` // Redshift only
}

// Verdict is the answer, with the reason for the server's log.
type Verdict struct {
	Allow     bool   `json:"allow"`
	Reason    string `json:"reason"`
	Principal string `json:"principal"` // ARN of the signer, once the signature is found good
}

// AddTarget registers a server. What it points to may be changed inside Update and by handlers.
func (w *World) AddTarget(t Target) *Target {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers[t.Service+" "+t.Host] = &t
	return &t
}

// RemoveTarget forgets a server.
func (w *World) RemoveTarget(service, host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.servers, service+" "+host)
}

// Verify judges a login and writes it into the journal.
func (w *World) Verify(login Login) Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	entry := Entry{Time: w.Now(), Service: login.Service, Operation: "connect", Host: login.Host, Notes: map[string]string{"User": login.User}}
	if login.Token != "" {
		w.secret(login.Token)
	}
	err := w.verify(login, &entry)
	verdict := Verdict{Allow: err == nil, Principal: entry.Principal, Reason: "allowed"}
	if err != nil {
		verdict.Reason = err.Error()
		entry.Error, entry.Message = "Denied", verdict.Reason
	}
	w.journal = append(w.journal, entry)
	return verdict
}

func (w *World) verify(login Login, entry *Entry) error {
	target := w.servers[login.Service+" "+login.Host]
	if target == nil {
		return fmt.Errorf("no %s server is known by %q", login.Service, login.Host)
	}
	entry.Region = target.Region
	if target.IAMOff {
		return fmt.Errorf("IAM authentication is not switched on")
	}
	if target.Service == Redshift || target.Service == RedshiftServerless {
		return w.verifyPassword(target, login)
	}
	return w.verifyToken(target, login, entry)
}

const longestToken = 900 * time.Second

func (w *World) verifyToken(target *Target, login Login, entry *Entry) error {
	token, err := sigv4.ParsePresigned(login.Token)
	if err != nil {
		return err
	}
	entry.AccessKey = token.Scope.AccessKey
	w.secret(token.Signature())
	now := w.Now()
	switch {
	case token.Host != target.Host:
		return fmt.Errorf("the token is signed for %q, this is %q", token.Host, target.Host)
	case token.Scope.Service != target.Service:
		return fmt.Errorf("the token is signed for service %q, not %q", token.Scope.Service, target.Service)
	case token.Scope.Region != target.Region:
		return fmt.Errorf("the token is signed for region %q, not %q", token.Scope.Region, target.Region)
	case token.Expires > longestToken:
		return fmt.Errorf("the token wants to be good for %v, more than %v", token.Expires, longestToken)
	case token.Date.After(now.Add(maxSkew)):
		return fmt.Errorf("the token is signed in the future, at %v", token.Date)
	case !now.Before(token.Date.Add(token.Expires)):
		return fmt.Errorf("the token expired at %v", token.Date.Add(token.Expires))
	}
	if err := checkParameters(target, login.User, token.Parameters()); err != nil {
		return err
	}
	signer, failure := w.lookUp(token.Scope, token.SecurityToken)
	if failure != nil {
		return failure
	}
	if err := token.Verify(signer.SecretAccessKey); err != nil {
		return err
	}
	if !signer.Expires.IsZero() && !now.Before(signer.Expires) {
		return fmt.Errorf("the credentials that signed the token expired at %v", signer.Expires)
	}
	entry.Principal = signer.principal.ARN()
	return w.mayConnect(target, login.User, signer.principal, entry)
}

// checkParameters wants exactly the parameters that the service defines.
func checkParameters(target *Target, user string, got map[string]string) error {
	want := map[string]string{"Action": "connect", "User": user}
	switch {
	case target.Service == RDSConnect:
		want = map[string]string{"Action": "connect", "DBUser": user}
	case target.Serverless:
		want["ResourceType"] = "ServerlessCache"
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, known := want[name]; !known {
			return fmt.Errorf("the token has parameter %q, which has no meaning here", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			return fmt.Errorf("parameter %s of the token is %q, not %q", name, got[name], want[name])
		}
	}
	return nil
}

func (w *World) mayConnect(target *Target, user string, p Principal, entry *Entry) error {
	if p.Account != target.Account {
		return fmt.Errorf("%s belongs to another account than the server", p.ARN())
	}
	arn := func(resource string) string { return target.Account.arn(target.Service, target.Region, resource) }
	var action string
	var resources []string
	switch target.Service {
	case RDSConnect:
		action, resources = "rds-db:connect", []string{arn("dbuser:" + target.ResourceID + "/" + user)}
	default:
		id, known := target.Users[user]
		if !known {
			return fmt.Errorf("user %q does not exist or does not use IAM authentication", user)
		}
		if id != user {
			return fmt.Errorf("name %q and id %q of the user differ, so that IAM authentication cannot work", user, id)
		}
		if target.Service == MemoryDBConnect {
			action, resources = "memorydb:Connect", []string{arn("cluster/" + target.ResourceID), arn("user/" + id)}
			break
		}
		kind := "replicationgroup:"
		if target.Serverless {
			kind = "serverlesscache:"
		}
		action, resources = "elasticache:Connect", []string{arn(kind + target.ResourceID), arn("user:" + id)}
	}
	for _, resource := range resources {
		values := w.principalContext(p)
		values["aws:RequestedRegion"] = []string{target.Region}
		decision := iam.Evaluate(w.caller(p), iam.Request{Action: action, Resource: resource, Context: values})
		entry.check(action, resource, decision)
		if !decision.Allowed {
			return accessDenied(p, action, resource, decision.Because(action))
		}
	}
	return nil
}

type issuedPassword struct {
	service, server, user, database, password string
	expires                                   time.Time
}

// IssuePassword makes a password that logs a user in to a Redshift server (as in Target.ResourceID), to one database or, if
// that is "", to any. For handlers only.
func (c *Call) IssuePassword(service, server, user, database string, lifetime time.Duration) (password string, expires time.Time) {
	w := c.World
	expires = w.Now().Add(lifetime)
	password = w.secret("A1" + hex.EncodeToString(w.random(30)))
	w.passwords = append(w.passwords, issuedPassword{service, server, user, database, password, expires})
	return password, expires
}

func (w *World) verifyPassword(target *Target, login Login) error {
	for _, p := range w.passwords {
		if p.service != target.Service || p.server != target.ResourceID || subtle.ConstantTimeCompare([]byte(p.password), []byte(login.Token)) != 1 {
			continue
		}
		switch {
		case p.user != login.User:
			return fmt.Errorf("the password was issued for user %q, not %q", p.user, login.User)
		case p.database != "" && !strings.EqualFold(p.database, login.Database):
			return fmt.Errorf("the password was issued for database %q, not %q", p.database, login.Database)
		case !w.Now().Before(p.expires):
			return fmt.Errorf("the password expired at %v", p.expires)
		}
		return nil
	}
	return fmt.Errorf("the password was not issued for this server")
}
