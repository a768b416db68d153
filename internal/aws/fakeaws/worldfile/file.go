// Package worldfile builds a local AWS from a file, for demonstrations and for tests that run it as a process of its own.
package worldfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"

	"sallyport/internal/aws/fakeaws"
)

// File is the content of a world file, in YAML or JSON. Unknown keys are errors.
type File struct {
	Accounts   []Account                  `json:"accounts"`
	Issuers    []Issuer                   `json:"issuers"`
	Instances  []Instance                 `json:"instances"`
	Containers []Container                `json:"containers"`
	Targets    []Target                   `json:"targets"`
	Databases  []Database                 `json:"databases"`
	Services   map[string]json.RawMessage `json:"services"` // read by the services themselves, by their names
	Listen     Listen                     `json:"listen"`
	// Write says which files to write before serving.
	Write struct {
		Bundle      string   `json:"bundle"`      // the authority's certificate
		Identity    string   `json:"identity"`    // the certificate of instance identity documents
		Credentials string   `json:"credentials"` // a shared credentials file with a profile for each user
		Hosts       string   `json:"hosts"`       // a hosts file for Regions and Names
		Address     string   `json:"address"`     // of the services in the hosts file; default 127.0.0.1
		Regions     []string `json:"regions"`
		// Names are further lines of the hosts file: addresses by names.
		Names map[string]string `json:"names"`
	} `json:"write"`
}

// Listen says where the world listens.
type Listen struct {
	HTTP     []string `json:"http"`
	HTTPS    []string `json:"https"`
	Verifier string   `json:"verifier"` // unix socket
	Control  string   `json:"control"`  // unix socket
}

// Account is an account with what is in it.
type Account struct {
	ID        string                     `json:"id"`
	Partition string                     `json:"partition"` // default aws
	Policies  map[string]json.RawMessage `json:"policies"`  // managed policies by name
	Users     []Identity                 `json:"users"`
	Roles     []Identity                 `json:"roles"`
	Providers []struct {
		URL       string   `json:"url"`
		Audiences []string `json:"audiences"`
	} `json:"providers"`
}

// Identity is a user or a role. Documents may be written as objects or as strings.
type Identity struct {
	Name       string                     `json:"name"`
	Path       string                     `json:"path"`
	Trust      json.RawMessage            `json:"trust"` // roles only
	MaxSeconds int                        `json:"max_session_seconds"`
	Inline     map[string]json.RawMessage `json:"inline"`
	Attached   []string                   `json:"attached"` // names of the account's policies
	Boundary   string                     `json:"boundary"` // likewise
	Tags       map[string]string          `json:"tags"`
}

// Issuer is an OIDC issuer and tokens of it that are written to files.
type Issuer struct {
	URL    string `json:"url"`
	Listen string `json:"listen"` // "": not served
	Tokens []struct {
		Subject, Audience, Path string
		Seconds                 int
	} `json:"tokens"`
}

// Instance is an EC2 instance whose metadata is served.
type Instance struct {
	Listen  string            `json:"listen"`
	ID      string            `json:"id"`
	Account string            `json:"account"`
	Role    string            `json:"role"`
	Region  string            `json:"region"`
	Mode    string            `json:"mode"`
	Tags    map[string]string `json:"tags"`
}

// Container is a container agent.
type Container struct {
	Listen  string `json:"listen"`
	Account string `json:"account"`
	Role    string `json:"role"`
	Token   string `json:"token"`
}

// Target is a data-plane server.
type Target struct {
	Service    string            `json:"service"`
	Host       string            `json:"host"`
	Account    string            `json:"account"`
	Region     string            `json:"region"`
	ResourceID string            `json:"resource_id"`
	Serverless bool              `json:"serverless"`
	Users      map[string]string `json:"users"`
	IAMOff     bool              `json:"iam_off"`
}

// Load reads a file.
func Load(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Parse reads the text of a file.
func Parse(text []byte) (*File, error) {
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	var f File
	return &f, strict(asJSON, &f)
}

func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	return nil
}

// document is the text of a policy written as an object or as a string.
func document(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// Build makes the world: services first, then everything in the file.
func (f *File) Build(config fakeaws.Config, services func(*fakeaws.World) []*fakeaws.Service) (*Built, error) {
	w, err := fakeaws.New(config)
	if err != nil {
		return nil, err
	}
	b := &Built{World: w, file: f, Keys: map[string]fakeaws.Keys{}}
	for _, a := range f.Accounts {
		if err := b.account(a); err != nil {
			return nil, fmt.Errorf("account %s: %w", a.ID, err)
		}
	}
	known := map[string]*fakeaws.Service{}
	for _, s := range services(w) {
		w.Add(s)
		known[s.Name] = s
	}
	for name, raw := range f.Services {
		s := known[name]
		if s == nil || s.LoadState == nil {
			return nil, fmt.Errorf("services: %q is no service that takes a part of a world file", name)
		}
		if err := s.LoadState(w, func(into any) error { return strict(raw, into) }); err != nil {
			return nil, fmt.Errorf("services: %s: %w", name, err)
		}
	}
	return b, errors.Join(b.metadata(), b.issuers(), b.targets())
}
