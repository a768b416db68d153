package fakeaws

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// Container hands out credentials as the agents of ECS and of EKS Pod Identity do, for
// AWS_CONTAINER_CREDENTIALS_FULL_URI or 169.254.170.2:80.
//
// Source: "Container credential provider" in the AWS SDKs and Tools Reference Guide.
type Container struct {
	Role        *Role
	SessionName string
	Token       string        // that the Authorization header must carry; "": none is asked for, as on ECS
	Lifetime    time.Duration // 0 means 6 h

	mu   sync.Mutex // guards all above and below
	keys *credential
}

// Change changes the agent while it is served.
func (a *Container) Change(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// ServeHTTP answers a GET of any path.
func (a *Container) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.Role.account.world
	w.mu.Lock()
	defer w.mu.Unlock()
	entry := Entry{Time: w.Now(), Service: "container", Operation: r.Method + " " + r.URL.Path, Host: r.Host}
	defer func() { w.journal = append(w.journal, entry) }()
	refuse := func(status int, code, message string) {
		entry.Error, entry.Message = code, message
		out.Header().Set("Content-Type", "application/json")
		out.WriteHeader(status)
		_ = json.NewEncoder(out).Encode(map[string]string{"code": code, "message": message}) // nothing else can be told to it
	}
	if r.Method != http.MethodGet {
		refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "only GET is answered")
		return
	}
	if a.Token != "" && subtle.ConstantTimeCompare([]byte(a.Token), []byte(r.Header.Get("Authorization"))) != 1 {
		refuse(http.StatusUnauthorized, "AccessDeniedException", "the authorization token is missing or wrong")
		return
	}
	if a.Lifetime == 0 {
		a.Lifetime = 6 * time.Hour
	}
	if a.SessionName == "" {
		a.SessionName = "container"
	}
	if a.keys == nil || a.keys.principal.Role != a.Role || a.keys.Expires.Sub(w.Now()) < 5*time.Minute {
		a.keys = a.Role.session(a.SessionName, a.Lifetime)
	}
	out.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(out).Encode(map[string]string{"AccessKeyId": a.keys.AccessKeyID, "SecretAccessKey": a.keys.SecretAccessKey,
		"Token": a.keys.SessionToken, "Expiration": a.keys.Expires.Format(time.RFC3339), "RoleArn": a.Role.ARN(),
		"AccountId": a.Role.account.ID}) // a client that went away has no use for it
}
