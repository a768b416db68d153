package secretsmanager

import (
	"bytes"
	"encoding/json"
	"regexp"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

var namePattern = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`)

// given reads the version that a call brings; nil when it brings none.
func given(c *fakeaws.Call, now time.Time) (*Version, error) {
	v := &Version{ID: c.Params.String("ClientRequestToken"), Text: c.Params.String("SecretString"), Created: now}
	text, binary := c.Params.Has("SecretString"), c.Params.Has("SecretBinary")
	switch {
	case text && binary:
		return nil, wire.Errorf("InvalidParameterException", "You can't specify both a binary secret value and a string secret value in the same secret.")
	case !text && !binary:
		return nil, nil
	case len(v.ID) < 32 || len(v.ID) > 64:
		return nil, wire.Errorf("InvalidParameterException", "ClientRequestToken must have between 32 and 64 characters.")
	}
	if binary {
		var err error
		if v.Binary, err = c.Params.Bytes("SecretBinary"); err != nil {
			return nil, err
		}
	}
	c.Secret(secretPart(v.Text))
	c.Secret(string(v.Binary))
	return v, nil
}

// secretPart is what may be known to nobody of an account of a database: the user's name is no secret.
func secretPart(text string) string {
	var account struct{ Password string }
	if json.Unmarshal([]byte(text), &account) == nil && account.Password != "" {
		return account.Password
	}
	return text
}

func (v *Version) same(other *Version) bool {
	return v.Text == other.Text && bytes.Equal(v.Binary, other.Binary)
}

func (m *Secrets) create(c *fakeaws.Call) (wire.Fields, error) {
	s := &Secret{Place: inventory.At(c), Name: c.Params.String("Name"), Description: c.Params.String("Description"), Key: c.Params.String("KmsKeyId"),
		Tags: map[string]string{}, created: m.world.Now(), changed: m.world.Now()}
	if !namePattern.MatchString(s.Name) {
		return nil, wire.Errorf("ValidationException", "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	c.Note("Name", s.Name)
	v, err := given(c, m.world.Now())
	if err != nil {
		return nil, err
	}
	tags := c.Params.Tags("Tags")
	for _, tag := range tags {
		s.Tags[tag[0]] = tag[1]
	}
	if len(tags) > 0 {
		if err := c.Authorize("secretsmanager:TagResource", s.ARN(), requestTags(c)); err != nil {
			return nil, err
		}
	}
	if old := m.secrets.Get(s.Place, s.Name); old != nil {
		switch {
		case !old.Deleted.IsZero():
			return nil, wire.Errorf("InvalidRequestException", "You can't create this secret because a secret with this name is already scheduled for deletion.")
		case v == nil || old.version(v.ID) == nil || !old.version(v.ID).same(v):
			return nil, wire.Errorf("ResourceExistsException", "The operation failed because the secret %s already exists.", s.Name)
		}
		return wire.Of("ARN", old.ARN(), "Name", old.Name, "VersionId", v.ID), nil // the same request once more
	}
	var id any
	if v != nil {
		if err := m.useKey(c, s.Key, "kms:GenerateDataKey", "kms:Decrypt"); err != nil {
			return nil, err
		}
		v.Stages = []string{current}
		s.Versions, id = []*Version{v}, v.ID
	}
	m.secrets.Put(s.Place, s.Name, s)
	return wire.Of("ARN", s.ARN(), "Name", s.Name, "VersionId", id), nil
}

func (m *Secrets) describe(_ *fakeaws.Call, s *Secret) (wire.Fields, error) {
	stages := wire.Fields{}
	for _, v := range s.Versions {
		if len(v.Stages) > 0 {
			stages = append(stages, wire.Field{Name: v.ID, Value: wire.Strings("", v.Stages)})
		}
	}
	var deleted any
	if !s.Deleted.IsZero() {
		deleted = s.Deleted
	}
	return wire.Of("ARN", s.ARN(), "Name", s.Name, "Description", wire.Optional(s.Description), "KmsKeyId", wire.Optional(s.Key), "LastChangedDate", s.changed,
		"DeletedDate", deleted, "Tags", inventory.TagList("", s.Tags), "VersionIdsToStages", stages, "CreatedDate", s.created), nil
}

func (m *Secrets) get(c *fakeaws.Call, s *Secret) (wire.Fields, error) {
	id, stage := c.Params.String("VersionId"), c.Params.String("VersionStage")
	if stage == "" && id == "" {
		stage = current
	}
	var v *Version
	if stage != "" {
		v = s.staged(stage)
	} else {
		v = s.version(id)
	}
	if v == nil || id != "" && v.ID != id {
		return nil, wire.Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: %s", stage)
	}
	c.Note("VersionStage", stage)
	if err := m.useKey(c, s.Key, "kms:Decrypt"); err != nil {
		return nil, err
	}
	var text, binary any
	if v.Binary != nil {
		binary = v.Binary
	} else {
		text = v.Text
	}
	return wire.Of("ARN", s.ARN(), "Name", s.Name, "VersionId", v.ID, "SecretBinary", binary, "SecretString", text,
		"VersionStages", wire.Strings("", v.Stages), "CreatedDate", v.Created), nil
}

// store adds a version. The same token once more does nothing if it brings the same value, and fails otherwise.
func (m *Secrets) store(c *fakeaws.Call, s *Secret, v *Version, stages []string) error {
	if err := m.useKey(c, s.Key, "kms:GenerateDataKey", "kms:Decrypt"); err != nil {
		return err
	}
	if old := s.version(v.ID); old != nil {
		if !old.same(v) {
			return wire.Errorf("ResourceExistsException", "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", v.ID, s.ARN())
		}
		return nil
	}
	lately := 0
	for _, old := range s.Versions {
		if m.world.Now().Sub(old.Created) < 24*time.Hour {
			lately++
		}
	}
	if lately >= versionsPerDay {
		return wire.Errorf("LimitExceededException", "The secret has too many versions.")
	}
	s.Versions = append(s.Versions, v)
	for _, stage := range stages {
		s.move(stage, v)
	}
	s.changed = m.world.Now()
	return nil
}

func (m *Secrets) put(c *fakeaws.Call, s *Secret) (wire.Fields, error) {
	v, err := given(c, m.world.Now())
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, wire.Errorf("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
	}
	stages := c.Params.Strings("VersionStages")
	if stages == nil {
		stages = []string{current}
	}
	c.Note("ClientRequestToken", v.ID)
	if err := m.store(c, s, v, stages); err != nil {
		return nil, err
	}
	return wire.Of("ARN", s.ARN(), "Name", s.Name, "VersionId", v.ID, "VersionStages", wire.Strings("", s.version(v.ID).Stages)), nil
}

func (m *Secrets) update(c *fakeaws.Call, s *Secret) (wire.Fields, error) {
	v, err := given(c, m.world.Now())
	if err != nil {
		return nil, err
	}
	if key := c.Params.String("KmsKeyId"); key != "" {
		if err := m.useKey(c, key, "kms:GenerateDataKey", "kms:Decrypt"); err != nil {
			return nil, err
		}
		s.Key = key
	}
	if c.Params.Has("Description") {
		s.Description = c.Params.String("Description")
	}
	var id any
	if v != nil {
		if err := m.store(c, s, v, []string{current}); err != nil {
			return nil, err
		}
		id = v.ID
	}
	return wire.Of("ARN", s.ARN(), "Name", s.Name, "VersionId", id), nil
}

func (m *Secrets) remove(c *fakeaws.Call, s *Secret) (wire.Fields, error) {
	days, err := c.Params.Int("RecoveryWindowInDays", 30)
	if err != nil {
		return nil, err
	}
	force := c.Params.Bool("ForceDeleteWithoutRecovery")
	switch {
	case force && c.Params.Has("RecoveryWindowInDays"):
		return nil, wire.Errorf("InvalidParameterException", "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	case days < 7 || days > 30:
		return nil, wire.Errorf("InvalidParameterException", "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
	}
	end := m.world.Now()
	if force {
		m.secrets.Remove(s.Place, s.Name)
	} else {
		end = end.AddDate(0, 0, days)
		s.Deleted = end
	}
	return wire.Of("ARN", s.ARN(), "Name", s.Name, "DeletionDate", end), nil
}

func (m *Secrets) tag(c *fakeaws.Call, s *Secret) (wire.Fields, error) {
	if s.Tags == nil {
		s.Tags = map[string]string{}
	}
	for _, tag := range c.Params.Tags("Tags") {
		s.Tags[tag[0]] = tag[1]
	}
	return nil, nil
}
