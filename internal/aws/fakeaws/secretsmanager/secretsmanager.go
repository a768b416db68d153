// Package secretsmanager is Secrets Manager in the local AWS: secrets with versions, stages, and keys of KMS behind them.
package secretsmanager

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/kms"
	"sallyport/internal/aws/fakeaws/wire"
)

// The stages that Secrets Manager moves by itself.
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
)

// versionsPerDay is how many versions a secret can be given in a day.
const versionsPerDay = 100

// Secrets is the service's state.
type Secrets struct {
	world   *fakeaws.World
	keys    *kms.KMS
	secrets inventory.Of[Secret]
}

// Secret is a secret. Only Place and Name must be set. It may be looked at inside World.Update.
type Secret struct {
	inventory.Place
	Name        string            `json:"name"`
	Value       string            `json:"value"` // of the first version, a string
	Description string            `json:"description"`
	Key         string            `json:"kms_key"` // "": the account's own for Secrets Manager, which everybody may use
	Tags        map[string]string `json:"tags"`

	Versions []*Version `json:"-"` // oldest first
	Deleted  time.Time  `json:"-"` // when it will be gone; zero: never

	created, changed time.Time
}

// Version is one version of a secret.
type Version struct {
	ID      string
	Text    string
	Binary  []byte
	Stages  []string
	Created time.Time
}

// New makes a Secrets Manager with nothing in it, on top of a KMS.
func New(w *fakeaws.World, keys *kms.KMS) *Secrets { return &Secrets{world: w, keys: keys} }

// ARN is the secret's, with the six letters that AWS adds.
func (s *Secret) ARN() string {
	return s.Place.ARN("secretsmanager", "secret:"+s.Name+"-"+s.Opaque(6, "secret", s.Name))
}

// Add adds secrets.
func (m *Secrets) Add(all ...*Secret) error {
	for _, s := range all {
		if err := s.Check(m.world); err != nil {
			return err
		}
		if s.Name == "" {
			return errors.New("a secret has no name")
		}
		m.world.Update(func() {
			s.created, s.changed = m.world.Now(), m.world.Now()
			s.Versions = []*Version{{ID: strings.ToLower(s.Opaque(32, "version", s.Name)), Text: s.Value, Stages: []string{current}, Created: m.world.Now()}}
			m.secrets.Put(s.Place, s.Name, s)
		})
	}
	return nil
}

// Get finds a secret by name, or gives nil. It is to be called inside World.Update.
func (m *Secrets) Get(at inventory.Place, name string) *Secret { return m.secrets.Get(at, name) }

// Service answers the calls.
func (m *Secrets) Service() *fakeaws.Service {
	one := func(name string, handle func(*fakeaws.Call, *Secret) (wire.Fields, error)) fakeaws.Operation {
		return fakeaws.Operation{Name: name, Action: "secretsmanager:" + name, Resources: m.arn, Context: m.context,
			Handle: func(c *fakeaws.Call) (wire.Fields, error) {
				s := m.find(c)
				if s == nil && name == "DeleteSecret" && c.Params.Bool("ForceDeleteWithoutRecovery") {
					return wire.Of("Name", c.Params.String("SecretId"), "DeletionDate", m.world.Now()), nil
				}
				if s == nil {
					return nil, wire.Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
				}
				c.Note("SecretId", s.Name)
				if !s.Deleted.IsZero() && name != "DescribeSecret" && name != "DeleteSecret" {
					return nil, wire.Errorf("InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion.")
				}
				return handle(c, s)
			}}
	}
	return &fakeaws.Service{Name: "secretsmanager", Scope: "secretsmanager", Protocol: wire.JSON11, Target: "secretsmanager", LoadState: m.loadState,
		Operations: []fakeaws.Operation{
			{Name: "CreateSecret", Action: "secretsmanager:CreateSecret", Resources: m.newARN, Context: requestTags, Handle: m.create},
			one("DescribeSecret", m.describe),
			one("GetSecretValue", m.get),
			one("PutSecretValue", m.put),
			one("UpdateSecret", m.update),
			one("DeleteSecret", m.remove),
			one("TagResource", m.tag),
		}}
}

func (m *Secrets) loadState(_ *fakeaws.World, decode func(any) error) error {
	var s struct {
		Secrets []*Secret `json:"secrets"`
	}
	if err := decode(&s); err != nil {
		return err
	}
	return m.Add(s.Secrets...)
}

// find finds the secret by its name, its ARN, or its ARN without the six letters.
func (m *Secrets) find(c *fakeaws.Call) *Secret {
	id, at := c.Params.String("SecretId"), inventory.At(c)
	rest, isARN := strings.CutPrefix(id, at.ARN("secretsmanager", "secret:"))
	if !isARN {
		return m.secrets.Get(at, id)
	}
	if s := m.secrets.Get(at, rest); s != nil {
		return s
	}
	if i := strings.LastIndexByte(rest, '-'); i > 0 {
		if s := m.secrets.Get(at, rest[:i]); s != nil && s.ARN() == id {
			return s
		}
	}
	return nil
}

func (m *Secrets) arn(c *fakeaws.Call) ([]string, error) {
	id := c.Params.String("SecretId")
	if s := m.find(c); s != nil {
		return []string{s.ARN()}, nil
	}
	if strings.HasPrefix(id, "arn:") {
		return []string{id}, nil
	}
	return []string{c.ARN("secretsmanager", "secret:"+id)}, nil
}

// newARN is what a secret will have as its ARN, for the permission to create it.
func (m *Secrets) newARN(c *fakeaws.Call) ([]string, error) {
	s := Secret{Place: inventory.At(c), Name: c.Params.String("Name")}
	return []string{s.ARN()}, nil
}

func requestTags(c *fakeaws.Call) iam.Values {
	values := iam.Values{"secretsmanager:Name": {c.Params.String("Name")}}
	for _, tag := range c.Params.Tags("Tags") {
		values["aws:RequestTag/"+tag[0]] = []string{tag[1]}
		values["aws:TagKeys"] = append(values["aws:TagKeys"], tag[0])
	}
	return values
}

func (m *Secrets) context(c *fakeaws.Call) iam.Values {
	values := requestTags(c)
	delete(values, "secretsmanager:Name")
	if s := m.find(c); s != nil {
		maps.Copy(values, inventory.TagContext(s.Tags))
	}
	return values
}

// useKey asks for the permission on the secret's key. The account's own key asks for none.
func (m *Secrets) useKey(c *fakeaws.Call, key string, actions ...string) error {
	if key == "" || key == "alias/aws/secretsmanager" {
		return nil
	}
	for _, action := range actions {
		_, err := m.keys.Use(c, key, action)
		if err == nil {
			continue
		}
		failure, ok := errors.AsType[*wire.Error](err)
		switch {
		case ok && failure.JSONCode == "AccessDeniedException":
			return wire.Errorf("AccessDeniedException", "Access to KMS is not allowed")
		case action == "kms:Decrypt":
			return wire.Errorf("DecryptionFailure", "Secrets Manager can't decrypt the protected secret text using the provided KMS key.")
		}
		return wire.Errorf("EncryptionFailure", "Secrets Manager can't encrypt the protected secret text using the provided KMS key.")
	}
	return nil
}

func (s *Secret) version(id string) *Version {
	i := slices.IndexFunc(s.Versions, func(v *Version) bool { return v.ID == id })
	if i < 0 {
		return nil
	}
	return s.Versions[i]
}

func (s *Secret) staged(stage string) *Version {
	i := slices.IndexFunc(s.Versions, func(v *Version) bool { return slices.Contains(v.Stages, stage) })
	if i < 0 {
		return nil
	}
	return s.Versions[i]
}

// MakeCurrent moves AWSCURRENT to a version, as an administrator can by UpdateSecretVersionStage. To be called inside World.Update.
func (s *Secret) MakeCurrent(v *Version) { s.move(current, v) }

// move gives a stage to a version and takes it from any other; what loses AWSCURRENT becomes AWSPREVIOUS.
func (s *Secret) move(stage string, to *Version) {
	from := s.staged(stage)
	if from == to {
		return
	}
	if from != nil {
		from.Stages = slices.DeleteFunc(from.Stages, func(other string) bool { return other == stage })
		if stage == current {
			s.move(previous, from)
		}
	}
	to.Stages = append(to.Stages, stage)
	to.Stages = slices.DeleteFunc(to.Stages, func(other string) bool { return stage == current && other == previous })
}
