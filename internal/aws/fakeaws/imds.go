package fakeaws

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Instance is an EC2 instance as its metadata describes it. Set it up before it is served; later changes go through Change.
type Instance struct {
	ID, Region, Zone, Type, Image, PrivateIP string
	Account                                  *Account
	Role                                     *Role // nil: no instance profile
	Tags                                     map[string]string
	TagsHidden                               bool // tags are not allowed in the metadata
	Launched                                 time.Time
	Mode                                     MetadataMode
	Lifetime                                 time.Duration // of credentials; 0 means 6 h

	world  *World
	mu     sync.Mutex // guards all above and below; changes need the world's lock too, after this one
	tokens map[string]time.Time
	keys   *credential
}

// MetadataMode is how the instance's metadata service behaves.
type MetadataMode string

// The modes.
const (
	MetadataBoth     MetadataMode = ""          // versions 1 and 2
	MetadataV2Only   MetadataMode = "v2-only"   // HttpTokens=required
	MetadataV1Only   MetadataMode = "v1-only"   // no tokens, as very old look-alikes
	MetadataHopLimit MetadataMode = "hop-limit" // v2 only, and answers with tokens do not reach the client
	MetadataOff      MetadataMode = "off"       // HttpEndpoint=disabled
)

// AddInstance completes an instance with what it leaves open.
func (w *World) AddInstance(i *Instance) *Instance {
	w.mu.Lock()
	defer w.mu.Unlock()
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&i.ID, "i-"+fmt.Sprintf("%x", w.random(9))[:17])
	set(&i.Region, "us-west-1")
	set(&i.Zone, i.Region+"a")
	set(&i.Type, "t3.micro")
	set(&i.Image, "ami-0abcdef1234567890")
	set(&i.PrivateIP, "10.0.0.10")
	if i.Launched.IsZero() {
		i.Launched = w.Now()
	}
	if i.Lifetime == 0 {
		i.Lifetime = 6 * time.Hour
	}
	i.world, i.tokens = w, map[string]time.Time{}
	w.instances = append(w.instances, i)
	return i
}

// Change changes the instance while it is served. f must not call methods of the world but Now.
func (i *Instance) Change(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.world.mu.Lock() // handlers of EC2 read it as well
	defer i.world.mu.Unlock()
	f()
}

// Rotate makes the metadata service hand out new credentials from now on.
func (i *Instance) Rotate() { i.Change(func() { i.keys = nil }) }

// ServeHTTP is the instance metadata service, for 169.254.169.254:80 or AWS_EC2_METADATA_SERVICE_ENDPOINT.
//
// Source: "Use the Instance Metadata Service to access instance metadata" in the EC2 User Guide.
func (i *Instance) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	entry := Entry{Time: i.world.Now(), Service: "imds", Operation: r.Method + " " + r.URL.Path, Region: i.Region, Host: r.Host}
	status, body := i.answer(r)
	if status == 0 { // the answer is lost on its way
		entry.Error, entry.Injected = "NoAnswer", true
		i.world.record(entry)
		waitForClient(r.Context())
		panic(http.ErrAbortHandler)
	}
	if status != http.StatusOK {
		entry.Error = strconv.Itoa(status)
	}
	i.world.record(entry)
	if r.Method == http.MethodPut && status == http.StatusOK {
		out.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds"))
	}
	out.Header().Set("Content-Type", "text/plain")
	out.WriteHeader(status)
	_, _ = out.Write([]byte(body)) // a client that went away has no use for it
}

func waitForClient(ctx context.Context) { <-ctx.Done() }

const notFound = `<?xml version="1.0" encoding="iso-8859-1"?><html><head><title>404 - Not Found</title></head><body><h1>404 - Not Found</h1></body></html>`

func (i *Instance) answer(r *http.Request) (status int, body string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.Mode == MetadataOff {
		return http.StatusForbidden, ""
	}
	if r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" {
		return i.newToken(r)
	}
	if r.Method != http.MethodGet {
		return http.StatusMethodNotAllowed, ""
	}
	token := r.Header.Get("X-Aws-Ec2-Metadata-Token")
	switch {
	case i.Mode == MetadataV1Only:
	case token != "":
		if expires, known := i.tokens[token]; !known || !i.world.Now().Before(expires) {
			return http.StatusUnauthorized, ""
		}
	case i.Mode != MetadataBoth:
		return http.StatusUnauthorized, ""
	}
	return i.get(r.URL.Path)
}

func (i *Instance) newToken(r *http.Request) (int, string) {
	if i.Mode == MetadataV1Only {
		return http.StatusNotFound, notFound
	}
	if i.Mode == MetadataHopLimit {
		return 0, ""
	}
	if r.Header.Get("X-Forwarded-For") != "" {
		return http.StatusForbidden, ""
	}
	seconds, err := strconv.Atoi(r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds"))
	if err != nil || seconds < 1 || seconds > 21600 {
		return http.StatusBadRequest, ""
	}
	i.world.mu.Lock()
	defer i.world.mu.Unlock()
	token := i.world.secret("AQAEA" + fmt.Sprintf("%x", i.world.random(24)) + "==")
	i.tokens[token] = i.world.Now().Add(time.Duration(seconds) * time.Second)
	return http.StatusOK, token
}

func (i *Instance) get(path string) (int, string) {
	if rest, ok := strings.CutPrefix(path, "/latest/dynamic/instance-identity/"); ok {
		return i.identity(rest)
	}
	rest, ok := strings.CutPrefix(path, "/latest/meta-data/")
	if !ok {
		return http.StatusNotFound, notFound
	}
	if name, ok := strings.CutPrefix(rest, "iam/security-credentials"); ok {
		return i.credentials(strings.TrimPrefix(name, "/"))
	}
	if key, ok := strings.CutPrefix(rest, "tags/instance"); ok {
		return i.tag(strings.TrimPrefix(key, "/"))
	}
	values := map[string]string{"instance-id": i.ID, "placement/region": i.Region, "placement/availability-zone": i.Zone,
		"instance-type": i.Type, "ami-id": i.Image, "local-ipv4": i.PrivateIP,
		"services/domain":    map[bool]string{true: "amazonaws.com.cn", false: "amazonaws.com"}[i.Account.Partition == "aws-cn"],
		"services/partition": i.Account.Partition}
	value, ok := values[rest]
	if !ok {
		return http.StatusNotFound, notFound
	}
	return http.StatusOK, value
}

func (i *Instance) tag(key string) (int, string) {
	if i.TagsHidden {
		return http.StatusNotFound, notFound
	}
	if key == "" {
		return http.StatusOK, strings.Join(slices.Sorted(maps.Keys(i.Tags)), "\n")
	}
	value, ok := i.Tags[key]
	if !ok {
		return http.StatusNotFound, notFound
	}
	return http.StatusOK, value
}

func (i *Instance) credentials(name string) (int, string) {
	if i.Role == nil {
		return http.StatusNotFound, notFound
	}
	if name == "" {
		return http.StatusOK, i.Role.Name
	}
	if name != i.Role.Name {
		return http.StatusNotFound, notFound
	}
	w := i.world
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.Now()
	if i.keys == nil || i.keys.principal.Role != i.Role || i.keys.Expires.Sub(now) < 5*time.Minute {
		i.keys = i.Role.session(i.ID, i.Lifetime)
	}
	text, err := json.MarshalIndent(map[string]string{"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": now.Format(time.RFC3339),
		"AccessKeyId": i.keys.AccessKeyID, "SecretAccessKey": i.keys.SecretAccessKey, "Token": i.keys.SessionToken,
		"Expiration": i.keys.Expires.Format(time.RFC3339)}, "", "  ")
	if err != nil {
		return http.StatusInternalServerError, err.Error()
	}
	return http.StatusOK, string(text)
}
