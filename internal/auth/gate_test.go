package auth_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
)

const join = "/sallyport.v1.JoinService/Join"

// longField is a protobuf message whose first field holds so many bytes.
func longField(size int) []byte {
	return append(binary.AppendUvarint([]byte{0x0a}, uint64(size)), bytes.Repeat([]byte("a"), size)...)
}

func zipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// deadlines notes the deadline that a handler sets for the body.
type deadlines struct {
	*httptest.ResponseRecorder
	read time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error { d.read = t; return nil }

// post calls a method over plain HTTP as the identity.
func (w *world) post(id *identity.Identity, procedure string, body io.Reader, encoding string) *deadlines {
	w.t.Helper()
	req := httptest.NewRequestWithContext(identity.NewContext(w.t.Context(), id), http.MethodPost, procedure, body)
	req.Header.Set("Content-Type", "application/proto")
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	res := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	w.auth.Handler().ServeHTTP(res, req)
	return res
}

func TestStrangersCannotFillTheMemory(t *testing.T) {
	w := newWorld(t) // not parallel: it measures the memory
	bomb := zipped(t, longField(128<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res := w.post(nil, join, bytes.NewReader(bomb), "gzip")
	runtime.ReadMemStats(&after)
	if res.Code != http.StatusBadRequest || !strings.Contains(res.Body.String(), "send it plain") {
		t.Errorf("a compressed request of a stranger: %d %s", res.Code, res.Body)
	}
	if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; grown > 4 {
		t.Errorf("%d bytes of a stranger took %d MiB", len(bomb), grown)
	}
}

func TestBodiesAreBoundedByMethod(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite("eve", "editor")
	agent, eve := w.host(resource.RoleDb), w.user("eve")
	for name, c := range map[string]struct {
		id        *identity.Identity
		procedure string
		size      int
		zip       bool
		tooLarge  bool
	}{
		"a stranger's join":         {nil, join, 60 << 10, false, false},
		"a stranger's large join":   {nil, join, 70 << 10, false, true},
		"a large ping":              {eve, "/sallyport.v1.ClusterService/Ping", 70 << 10, false, true},
		"a large login":             {w.host(resource.RoleProxy), "/sallyport.v1.LoginService/Login", 70 << 10, false, true},
		"a resource":                {eve, "/sallyport.v1.ResourceService/PutResource", 3 << 20, false, false},
		"a large resource":          {eve, "/sallyport.v1.ResourceService/PutResource", 5 << 20, false, true},
		"a large zipped resource":   {eve, "/sallyport.v1.ResourceService/PutResource", 5 << 20, true, true},
		"a large certificate":       {eve, "/sallyport.v1.CertificateService/IssueUserCertificate", 5 << 20, false, true},
		"a large search of the log": {eve, "/sallyport.v1.AuditService/SearchEvents", 70 << 10, false, true},
		"events":                    {agent, "/sallyport.v1.AuditService/SubmitEvents", 8 << 20, false, false},
	} {
		body, encoding := longField(c.size), ""
		if c.zip {
			body, encoding = zipped(t, body), "gzip"
		}
		res := w.post(c.id, c.procedure, bytes.NewReader(body), encoding)
		if got := strings.Contains(res.Body.String(), "resource_exhausted"); got != c.tooLarge {
			t.Errorf("%s: %d %s", name, res.Code, res.Body)
		}
	}
}

// unread fails the test when it is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestNoBodyIsReadOfCallersWhoCannotPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const submit = "/sallyport.v1.AuditService/SubmitEvents"
	for name, id := range map[string]*identity.Identity{"a stranger": nil, "a user": w.user("alice"), "a host without a service": w.host(resource.RoleNode)} {
		res := w.post(id, submit, unread{t}, "")
		if res.Code != http.StatusUnauthorized && res.Code != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, res.Code, res.Body)
		}
	}
}

func TestStrangersHaveHalfAMinuteToSend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if left := time.Until(w.post(nil, join, strings.NewReader(""), "").read); left <= 0 || left > 30*time.Second {
		t.Errorf("a stranger may send for %s", left)
	}
	if res := w.post(w.host(resource.RoleDb), join, strings.NewReader(""), ""); !res.read.IsZero() {
		t.Errorf("a member has until %s", res.read)
	}
}

func TestConnectionsOfExpiredCertificatesAreClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.host(resource.RoleDb)
	w.clock.Advance(2 * time.Hour)
	res := w.post(agent, "/sallyport.v1.ClusterService/WhoAmI", strings.NewReader(""), "")
	if res.Header().Get("Connection") != "close" {
		t.Error("the connection goes on with an expired certificate")
	}
	_, err := w.as(agent).Cluster.WhoAmI(t.Context(), &sallyportv1.WhoAmIRequest{})
	wantKind(t, err, fault.Unauthenticated, "expired")
}
