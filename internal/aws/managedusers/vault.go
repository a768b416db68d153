package managedusers

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/iampolicy"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// Stages that Secrets Manager gives versions by itself.
const (
	stageCurrent  = "AWSCURRENT"
	stagePrevious = "AWSPREVIOUS"
)

// Tags of secrets. tagApplied names the version whose password was seen to be set, together with the one before, and after
// a space the second of that moment (Unix).
const (
	tagCreated = "teleport.dev/created"
	tagCluster = "teleport.dev/cluster"
	tagApplied = "teleport.dev/applied"

	description   = "Password of a database user, managed by Sallyport. Do not change it."
	passwordBytes = 64 // in hex 128 characters, the most that AWS takes
)

// vault is the secret of one user.
type vault struct {
	*secretsmanager.Client
	name, cluster, key string
}

// version is one password.
type version struct {
	id       string
	password string
	created  time.Time
}

// state is what a secret says.
type state struct {
	applied           string    // version that was seen to be set
	since             time.Time // when that was
	current, previous version
	ours              bool // it was made by an agent of this cluster
	untagged          bool // tags are missing
	key               string
}

// clockSkew is how far the clocks of agents may be apart.
const clockSkew = time.Minute

// fromFuture reports whether the tag has a time that cannot be: an agent's clock was ahead, or somebody else wrote it.
func (s *state) fromFuture(now time.Time) bool { return s.since.Sub(now) > clockSkew }

// settled returns when the passwords were seen to be set. In place of a time that cannot be it is that of the version, by
// the clock of AWS: otherwise nothing would be changed until then.
func (s *state) settled(now time.Time) time.Time {
	if s.fromFuture(now) {
		return s.current.created
	}
	return s.since
}

var errNoSecret = errors.New("there is no secret")

// vault returns the secret of a user, which there may not be yet.
func (k *Keeper) vault(ctx context.Context, key placeKey, store resource.SecretStore, u *user) (*vault, error) {
	arn, err := endpoint.ParseARN(u.ARN)
	if err != nil {
		return nil, fault.Wrap(fault.ConnectionProblem, err, "AWS gave the user %q the ARN %q, which cannot be read", u.ID, u.ARN)
	}
	cfg, err := k.cfg.Credentials.For(ctx, key.chain())
	if err != nil {
		return nil, err
	}
	prefix := strings.Trim(cmp.Or(store.KeyPrefix, iampolicy.DefaultSecretPrefix), "/")
	return &vault{
		Client:  secretsmanager.NewFromConfig(cfg),
		name:    strings.Join([]string{prefix, string(key.service), key.region, arn.Account, "user", u.ID}, "/"),
		cluster: k.cfg.Cluster, key: store.KMSKeyID,
	}, nil
}

// read returns what the secret says, or errNoSecret.
func (v *vault) read(ctx context.Context) (s state, err error) {
	about, err := v.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(v.name)})
	if isCode(err, "ResourceNotFoundException") {
		return s, errNoSecret
	}
	if err != nil {
		return s, err
	}
	if about.DeletedDate != nil {
		return s, fault.New(fault.BadParameter, "the secret %s is scheduled for deletion; restore it: aws secretsmanager restore-secret --secret-id %s", v.name, v.name)
	}
	tags := map[string]string{}
	for _, tag := range about.Tags {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	applied, since, _ := strings.Cut(tags[tagApplied], " ")
	seconds, _ := strconv.ParseInt(since, 10, 64) // one that nobody here wrote is long ago
	s.applied, s.since, s.ours = applied, time.Unix(seconds, 0), tags[tagCluster] == v.cluster && tags[tagCreated] == "true"
	s.untagged, s.key = tags[tagCluster] == "" || tags[tagCreated] == "", aws.ToString(about.KmsKeyId)
	for id, stages := range about.VersionIdsToStages {
		for stage, to := range map[string]*version{stageCurrent: &s.current, stagePrevious: &s.previous} {
			if slices.Contains(stages, stage) {
				to.id = id
			}
		}
	}
	for _, one := range []*version{&s.current, &s.previous} {
		if one.id == "" {
			continue
		}
		if err := v.fill(ctx, one); err != nil {
			return s, err
		}
	}
	if s.current.id == "" {
		return s, errNoSecret
	}
	return s, nil
}

func (v *vault) fill(ctx context.Context, one *version) error {
	out, err := v.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(v.name), VersionId: aws.String(one.id)})
	if err != nil {
		return v.explain(err)
	}
	one.password, one.created = string(out.SecretBinary), aws.ToTime(out.CreatedDate)
	if one.password == "" {
		one.password = aws.ToString(out.SecretString)
	}
	return nil
}

// usable returns a password that opens the user now: it was seen to be set, or is the one from before a change that is
// under way, or was carried out a moment ago.
func (v *vault) usable(ctx context.Context, now time.Time) (string, error) {
	s, err := v.read(ctx)
	if errors.Is(err, errNoSecret) {
		return "", fault.New(fault.ConnectionProblem, "its password is being set for the first time; try again in a minute")
	}
	if err != nil {
		return "", err
	}
	applied := s.applied == s.current.id
	switch {
	case applied && (s.previous.id == "" || now.Sub(s.settled(now)) > propagates):
		return s.current.password, nil
	case s.previous.id != "" && (applied || s.applied == s.previous.id):
		return s.previous.password, nil
	default:
		return "", fault.New(fault.ConnectionProblem, "its password is being set; try again in a minute")
	}
}

// create makes the secret with a first password. It reports false if another agent was there first.
func (v *vault) create(ctx context.Context) (bool, error) {
	in := &secretsmanager.CreateSecretInput{
		Name: aws.String(v.name), Description: aws.String(description), SecretBinary: newPassword(), ClientRequestToken: aws.String(uuid.NewString()), Tags: v.tags(),
	}
	if v.key != "" {
		in.KmsKeyId = aws.String(v.key)
	}
	_, err := v.CreateSecret(ctx, in)
	if isCode(err, "ResourceExistsException") {
		return false, nil
	}
	return err == nil, v.explain(err)
}

func (v *vault) tags() []types.Tag {
	return []types.Tag{{Key: aws.String(tagCreated), Value: aws.String("true")}, {Key: aws.String(tagCluster), Value: aws.String(v.cluster)}}
}

// rotate adds a password, of which the former current one becomes the previous. The id of the new version follows from the
// former's, so that of several agents one wins; attempt is how often that id was taken while the former stayed the current
// one. It reports false if the id is taken.
func (v *vault) rotate(ctx context.Context, from version, attempt int) (bool, error) {
	basis := from.id
	if attempt > 0 {
		basis += " " + strconv.Itoa(attempt)
	}
	_, err := v.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(v.name), SecretBinary: newPassword(), ClientRequestToken: aws.String(uuid.NewSHA1(uuid.Nil, []byte(basis)).String()),
	})
	if isCode(err, "ResourceExistsException") {
		return false, nil
	}
	return err == nil, v.explain(err)
}

// apply notes that the passwords of the current and the previous version were now seen to be set.
func (v *vault) apply(ctx context.Context, current version, now time.Time) error {
	value := current.id + " " + strconv.FormatInt(now.Unix(), 10)
	_, err := v.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: aws.String(v.name), Tags: []types.Tag{{Key: aws.String(tagApplied), Value: aws.String(value)}}})
	return err
}

// settle gives the secret the tags and the key of the configuration.
func (v *vault) settle(ctx context.Context, s state) error {
	if s.untagged {
		if _, err := v.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: aws.String(v.name), Tags: v.tags()}); err != nil {
			return err
		}
	}
	const usual = "alias/aws/secretsmanager"
	if has, wants := cmp.Or(s.key, usual), cmp.Or(v.key, usual); has == wants || strings.HasSuffix(has, "/"+wants) || strings.HasSuffix(wants, "/"+has) {
		return nil
	}
	_, err := v.UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{SecretId: aws.String(v.name), KmsKeyId: aws.String(cmp.Or(v.key, usual))})
	return v.explain(err)
}

// delete removes the secret, if an agent of this cluster has made it.
func (v *vault) delete(ctx context.Context) error {
	s, err := v.read(ctx)
	if errors.Is(err, errNoSecret) {
		return nil
	}
	if err != nil {
		return err
	}
	if !s.ours {
		return fault.New(fault.AccessDenied, "the secret %s was not made by this cluster", v.name)
	}
	_, err = v.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String(v.name), ForceDeleteWithoutRecovery: aws.Bool(true)})
	if isCode(err, "ResourceNotFoundException") {
		return nil
	}
	return err
}

// explain says that it is the key that may not be used.
func (v *vault) explain(err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok && strings.Contains(api.ErrorMessage(), "KMS") {
		return fault.Wrap(fault.AccessDenied, err, "the secret %s cannot be used with its key: %s: %s; allow kms:Decrypt and kms:GenerateDataKey on the key of secret_store.kms_key_id, in a policy of the caller and in the key's",
			v.name, api.ErrorCode(), api.ErrorMessage())
	}
	return err
}

func newPassword() []byte {
	b := make([]byte, passwordBytes)
	_, _ = rand.Read(b) // never fails
	return []byte(hex.EncodeToString(b))
}

func isCode(err error, code string) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && api.ErrorCode() == code
}
