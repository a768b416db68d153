// Package resource holds the nouns that administrators write and the cluster stores: users, roles,
// tokens, databases, locks and the cluster's settings, with their YAML form and their rules.
//
// A resource is stored as the JSON of its struct and written by people as YAML of the same shape.
// Values of this package are plain data: nothing here does I/O, and none of it is safe for
// concurrent writes.
package resource

import (
	"bytes"
	"encoding/json"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/yamlnode"
)

// Metadata is what every resource carries besides its own fields.
type Metadata struct {
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Expires     *time.Time        `json:"expires,omitempty"`  // the resource vanishes from reads after it; nil means never
	Revision    string            `json:"revision,omitempty"` // opaque; a write that names an old one is refused
}

// Header is the common beginning of every resource.
type Header struct {
	Kind     string   `json:"kind"`
	SubKind  string   `json:"sub_kind,omitempty"`
	Version  string   `json:"version"`
	Metadata Metadata `json:"metadata"`
}

// GetKind returns the kind, one of the Kind constants.
func (h *Header) GetKind() string { return h.Kind }

// GetName returns metadata.name, unique within a kind.
func (h *Header) GetName() string { return h.Metadata.Name }

// Meta returns the metadata for reading and changing.
func (h *Header) Meta() *Metadata { return &h.Metadata }

// SetKind sets the kind and its newest version.
func (h *Header) SetKind(kind string) {
	versions := Versions(kind)
	h.Kind, h.Version = kind, versions[len(versions)-1]
}

func (h *Header) header() *Header { return h }

// Resource is any of the concrete types of this package, always as a pointer.
type Resource interface {
	GetKind() string
	GetName() string
	Meta() *Metadata
	// SetKind sets the kind, which must be one that has a type, and the newest version of it.
	SetKind(kind string)
	// Validate fills in the defaults of the schema, then checks. The error is one
	// fault.BadParameter that names every problem with the path of its key. Inspect returns them one
	// by one.
	Validate() error

	header() *Header
	check(p *problems)
}

// New returns an empty resource of the kind with kind and newest version filled in.
func New(kind string) (Resource, error) {
	r := zero(kind)
	if r == nil {
		return nil, fault.New(fault.BadParameter, "resources of kind %q are not supported; use one of %s", kind, yamlnode.AnyOf(WritableKinds()))
	}
	r.SetKind(kind)
	return r, nil
}

// Encode returns the stored form: canonical JSON, equal bytes for equal resources.
func Encode(r Resource) ([]byte, error) { return json.Marshal(r) }

// Decode reads the stored form of a resource of the kind. A field or version this program does not
// know is refused, because dropping it on the next write would change what the resource means.
func Decode(kind string, data []byte) (Resource, error) {
	r := zero(kind)
	if r == nil {
		return nil, fault.New(fault.BadParameter, "resources of kind %q are not supported by this version", kind)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(r); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "a stored %s cannot be read; it may have been written by a newer version of this program", kind)
	}
	if dec.More() {
		return nil, fault.New(fault.Internal, "a stored %s cannot be read: there is data after it", kind)
	}
	h := r.header()
	if h.Kind != kind {
		return nil, fault.New(fault.Internal, "a stored %s cannot be read: it says it is of kind %q", kind, h.Kind)
	}
	if !supportsVersion(kind, h.Version) {
		return nil, fault.New(fault.Internal, "the stored %s %q has version %q, which this program does not know; use a newer version of it", kind, printableName(r), h.Version)
	}
	return r, nil
}

// printableName keeps the name of a token, which is its secret, out of errors.
func printableName(r Resource) string {
	if r.GetKind() == KindToken {
		return "[hidden]"
	}
	return r.GetName()
}

// Clone returns a deep copy.
func Clone[R Resource](r R) R {
	data, err := json.Marshal(r)
	if err != nil {
		panic("resource: encoding a " + r.GetKind() + ": " + err.Error()) // plain data always encodes
	}
	c := zero(kindOf(r))
	if err := json.Unmarshal(data, c); err != nil {
		panic("resource: decoding a " + r.GetKind() + ": " + err.Error())
	}
	return c.(R)
}

// WithoutSecrets returns a copy that may be shown: private keys of authorities and the local
// credentials of users are gone. The name of a token is its secret; masking it is left to the caller.
func WithoutSecrets(r Resource) Resource {
	c := Clone(r)
	switch v := c.(type) {
	case *CertAuthority:
		v.Spec.ActiveKeys.dropPrivate()
		v.Spec.AdditionalTrustedKeys.dropPrivate()
	case *User:
		v.Spec.LocalAuth = nil
	}
	return c
}
