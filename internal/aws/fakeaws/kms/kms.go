// Package kms is as much of KMS in the local AWS as stands behind Secrets Manager: keys with policies that allow or deny.
package kms

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

// KMS is the service's state.
type KMS struct {
	world *fakeaws.World
	keys  inventory.Of[Key]
	data  map[string]plain // data keys by what their ciphertext contains
	count uint64
}

type plain struct {
	key     *Key
	bytes   []byte
	context string // encryption context, in one line
}

// Key is a key that a customer manages. Place and ID must be set.
type Key struct {
	inventory.Place
	ID       string `json:"id"`
	Alias    string `json:"alias"`  // without alias/
	Policy   string `json:"policy"` // document; default: the account's own policies decide
	Disabled bool   `json:"disabled"`

	policy *iam.Policy
}

// ARN is the key's.
func (k *Key) ARN() string { return k.Place.ARN("kms", "key/"+k.ID) }

// New makes a KMS with nothing in it.
func New(w *fakeaws.World) *KMS { return &KMS{world: w, data: map[string]plain{}} }

// Add adds keys.
func (m *KMS) Add(all ...*Key) error {
	for _, k := range all {
		if err := k.Check(m.world); err != nil {
			return err
		}
		if k.ID == "" {
			return errors.New("a key has no id")
		}
		if k.Policy == "" {
			k.Policy = fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":"kms:*","Resource":"*"}]}`, k.In(m.world).RootARN())
		}
		var err error
		if k.policy, err = iam.Parse(k.Policy, iam.Resource); err != nil {
			return fmt.Errorf("policy of key %s: %w", k.ID, err)
		}
		m.world.Update(func() {
			m.keys.Put(k.Place, k.ID, k)
			if k.Alias != "" {
				m.keys.Put(k.Place, "alias/"+k.Alias, k)
			}
		})
	}
	return nil
}

// Service answers the calls.
func (m *KMS) Service() *fakeaws.Service {
	return &fakeaws.Service{Name: "kms", Scope: "kms", Protocol: wire.JSON11, Target: "TrentService", LoadState: m.loadState,
		Operations: []fakeaws.Operation{{Name: "GenerateDataKey", Handle: m.generate}, {Name: "Decrypt", Handle: m.decrypt}}}
}

func (m *KMS) loadState(_ *fakeaws.World, decode func(any) error) error {
	var s struct {
		Keys []*Key `json:"keys"`
	}
	if err := decode(&s); err != nil {
		return err
	}
	return m.Add(s.Keys...)
}

// Use asks whether the caller may do something with a key, named by id, alias or ARN. For handlers.
func (m *KMS) Use(c *fakeaws.Call, name, action string) (*Key, error) {
	at, id := inventory.At(c), name
	if parts := strings.SplitN(name, ":", 6); len(parts) == 6 && parts[0] == "arn" {
		at, id = inventory.Place{Account: parts[4], Region: parts[3]}, strings.TrimPrefix(parts[5], "key/")
	}
	k := m.keys.Get(at, id)
	if k == nil {
		return nil, wire.StatusErrorf(http.StatusBadRequest, "NotFoundException", "Key '%s' does not exist", name)
	}
	if err := c.AuthorizeOn(k.policy, k.Account, action, k.ARN(), nil); err != nil {
		return nil, err
	}
	if k.Disabled {
		return nil, wire.Errorf("DisabledException", "%s is disabled.", k.ARN())
	}
	return k, nil
}

func encryptionContext(c *fakeaws.Call) string {
	p := c.Params.At("EncryptionContext")
	all := map[string]string{}
	for _, name := range p.Names() {
		all[name] = p.String(name)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%q=%q;", name, all[name])
	}
	return b.String()
}

func (m *KMS) generate(c *fakeaws.Call) (wire.Fields, error) {
	k, err := m.Use(c, c.Params.String("KeyId"), "kms:GenerateDataKey")
	if err != nil {
		return nil, err
	}
	size, err := c.Params.Int("NumberOfBytes", map[string]int{"AES_256": 32, "AES_128": 16}[c.Params.String("KeySpec")])
	if err != nil || size < 1 || size > 1024 {
		return nil, wire.Errorf("ValidationException", "Please specify either number of bytes or key spec.")
	}
	m.count++
	secret := bytes.Repeat(binary.BigEndian.AppendUint64(nil, m.count), 128)[:size] // nobody encrypts anything with it
	ciphertext := append([]byte("local-kms:"), binary.BigEndian.AppendUint64(nil, m.count)...)
	m.data[string(ciphertext)] = plain{k, secret, encryptionContext(c)}
	return wire.Of("CiphertextBlob", ciphertext, "Plaintext", secret, "KeyId", k.ARN()), nil
}

func (m *KMS) decrypt(c *fakeaws.Call) (wire.Fields, error) {
	ciphertext, err := c.Params.Bytes("CiphertextBlob")
	if err != nil {
		return nil, err
	}
	found, ok := m.data[string(ciphertext)]
	if !ok || found.context != encryptionContext(c) {
		return nil, wire.Errorf("InvalidCiphertextException", "The ciphertext is not one of this key.")
	}
	if _, err := m.Use(c, found.key.ARN(), "kms:Decrypt"); err != nil {
		return nil, err
	}
	return wire.Of("KeyId", found.key.ARN(), "Plaintext", found.bytes, "EncryptionAlgorithm", "SYMMETRIC_DEFAULT"), nil
}
