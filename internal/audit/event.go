// Package audit defines the events of the audit log, the one JSON encoding in which they are hashed,
// chained, stored and shown, and how to read and verify it.
//
// The emitter encodes an event once. Those bytes are the event: nobody encodes it again. A text that
// is not valid UTF-8 is printed with replacement characters, and its exact bytes follow under the same
// key with the suffix "_base64". So they do for a long text that escaping would swell, of which only the
// beginning is printed. Fields are only ever added.
package audit

import (
	"time"

	"github.com/google/uuid"
)

// Version is the value of the key "v" in every event.
const Version = 1

// MaxIndex is the index of an end that the auth server wrote: it sorts after all that the agent may yet deliver.
const MaxIndex = 1<<31 - 1

// Event is one of the structs of this package. A value may be changed and used again once it is encoded.
type Event interface {
	// Type is the stable name that searches filter on.
	Type() string
	// Code tells the variants of a type apart, such as success and failure.
	Code() string

	appendFields(e *encoder)
}

// SessionEvent is an Event that belongs to a database session. Only a Chain encodes it: the chain adds
// the user, the session and the database.
type SessionEvent interface {
	Event
	ofSession()
}

// header is what every event begins with.
type header struct {
	index   int64
	uid     uuid.UUID
	time    time.Time
	cluster string
	prev    *Hash // nil for the first event of a session and outside sessions
}

func (e *encoder) header(h *header, event Event) {
	e.b = append(e.b, `{"v":1`...)
	e.integer("ei", h.index)
	e.plain("event", event.Type())
	e.plain("code", event.Code())
	e.uuid("uid", h.uid)
	e.always("time")
	e.b = append(e.b, '"')
	e.b = h.time.UTC().AppendFormat(e.b, timeLayout)
	e.b = append(e.b, '"')
	e.text("cluster_name", h.cluster)
	if h.prev != nil {
		e.hash("prev", h.prev)
	}
}

// UserKind says what kind of account acted.
type UserKind int

// The kinds of account.
const (
	UserUnspecified UserKind = iota
	UserHuman
	UserBot
	UserSystem
)

// UserMeta says who acted.
type UserMeta struct {
	User           string
	Impersonator   string
	Kind           UserKind
	Roles          []string // within a session printed by its first event only
	AccessRequests []string // ids of the requests whose grants are in use
}

func (m *UserMeta) appendTo(e *encoder) {
	m.appendName(e)
	e.texts("user_roles", m.Roles)
}

func (m *UserMeta) appendName(e *encoder) {
	e.text("user", m.User)
	e.text("impersonator", m.Impersonator)
	e.number("user_kind", int64(m.Kind))
	e.texts("access_requests", m.AccessRequests)
}

// SessionMeta says in which session it happened.
type SessionMeta struct {
	SID     string // UUIDv4
	WithMFA string // UUID of the device used for a per-session check
}

func (m *SessionMeta) appendTo(e *encoder) {
	e.text("sid", m.SID)
	e.text("with_mfa", m.WithMFA)
}

// ServerMeta says which host did it.
type ServerMeta struct {
	ID       string // host UUID
	Hostname string
	Version  string
}

func (m *ServerMeta) appendTo(e *encoder) {
	if m.ID == "" {
		return
	}
	e.plain("namespace", "default")
	e.text("server_id", m.ID)
	e.text("server_hostname", m.Hostname)
	e.text("server_version", m.Version)
}

// ConnectionMeta says between which addresses, each host:port.
type ConnectionMeta struct {
	LocalAddr  string
	RemoteAddr string
}

func (m *ConnectionMeta) appendTo(e *encoder) {
	e.text("addr.local", m.LocalAddr)
	e.text("addr.remote", m.RemoteAddr)
}

// Status says how it went. Its zero value is a failure.
type Status struct {
	Success bool
	Error   string // for the operator
	Message string // for the user
}

func (m *Status) appendTo(e *encoder) {
	e.boolean("success", m.Success)
	e.text("error", m.Error)
	e.text("message", m.Message)
}

// code returns the code of a success or of a failure.
func (m *Status) code(success, failure string) string {
	if m.Success {
		return success
	}
	return failure
}

// DatabaseMeta says which database, and who the user is there.
type DatabaseMeta struct {
	Service  string
	Protocol string
	URI      string
	Name     string // logical database
	User     string // database account
	Type     string // self-hosted, rds, …
	Origin   string // config-file, dynamic, cloud
	Roles    []string
}

func (m *DatabaseMeta) appendTo(e *encoder) {
	e.text("db_service", m.Service)
	e.text("db_protocol", m.Protocol)
	e.text("db_uri", m.URI)
	e.text("db_name", m.Name)
	e.text("db_user", m.User)
	e.text("db_type", m.Type)
	e.text("db_origin", m.Origin)
	e.texts("db_roles", m.Roles)
}

// Action says what happened to a resource.
type Action int

// The actions.
const (
	Created Action = iota
	Updated
	Deleted
)

// ResourceMeta names the resource that an event is about.
type ResourceMeta struct {
	Name      string
	Expires   time.Time // zero for never
	UpdatedBy string
}

func (m *ResourceMeta) appendTo(e *encoder) {
	e.text("name", m.Name)
	e.time("expires", m.Expires)
	e.text("updated_by", m.UpdatedBy)
}
