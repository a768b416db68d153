package secretsmanager_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/fakeaws/awsclitest"
	"sallyport/internal/aws/fakeaws/fakeawstest"
	"sallyport/internal/aws/fakeaws/kms"
	"sallyport/internal/aws/fakeaws/secretsmanager"
)

const keyARN = "arn:aws:kms:us-west-1:111111111111:key/k1"

func newCloud(t *testing.T) (*fakeawstest.Cloud, *secretsmanager.Secrets) {
	t.Helper()
	c := fakeawstest.New(t)
	keys := kms.New(c.World)
	m := secretsmanager.New(c.World, keys)
	c.Add(keys.Service(), m.Service())
	onlyAdmin := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:user/admin"},"Action":"kms:*","Resource":"*"}]}`
	if err := keys.Add(&kms.Key{Place: fakeawstest.Here, ID: "k1", Alias: "mine", Policy: onlyAdmin}, &kms.Key{Place: fakeawstest.Here, ID: "off", Disabled: true}); err != nil {
		t.Fatal(err)
	}
	return c, m
}

// token is a ClientRequestToken.
func token(n int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", n) }

func TestAWSCLI(t *testing.T) {
	c, m := newCloud(t)
	if err := m.Add(&secretsmanager.Secret{Place: fakeawstest.Here, Name: "given", Value: "v0"}); err != nil {
		t.Fatal(err)
	}
	const name = "teleport/elasticache/us-west-1/111111111111/user/alice"
	create := "secretsmanager create-secret --name " + name + " --secret-string one --tags Key=teleport.dev/created,Value=true --client-request-token " + token(1)
	put := func(n int, value string) string {
		return "secretsmanager put-secret-value --secret-id " + name + " --secret-string " + value + " --client-request-token " + token(n) + " --query VersionStages"
	}
	const get = "secretsmanager get-secret-value --secret-id " + name
	c.CLI(t, c.Admin,
		awsclitest.Works("secretsmanager get-secret-value --secret-id given --query SecretString", "v0"),
		awsclitest.Works(create+" --query ARN", "arn:aws:secretsmanager:us-west-1:111111111111:secret:"+name+"-"),
		awsclitest.Works(create+" --query VersionId", token(1)), // the same once more
		awsclitest.Fails(strings.Replace(create, "one", "two", 1), "(ResourceExistsException)"),
		awsclitest.Works("secretsmanager describe-secret --secret-id "+name+" --query [Name,Tags[0].Key,KmsKeyId]", name+"\tteleport.dev/created\tNone"),
		awsclitest.Fails(get+" --version-stage AWSPREVIOUS", "(ResourceNotFoundException)"),
		awsclitest.Works(put(2, "two"), "AWSCURRENT"),
		awsclitest.Works(put(2, "two"), "AWSCURRENT"), // the same once more
		awsclitest.Fails(put(2, "other"), "(ResourceExistsException)"),
		awsclitest.Works(get+" --query [SecretString,VersionId]", "two\t"+token(2)),
		awsclitest.Works(get+" --version-stage AWSPREVIOUS --query SecretString", "one"),
		awsclitest.Works(put(3, "three"), "AWSCURRENT"),
		awsclitest.Works(get+" --version-stage AWSPREVIOUS --query SecretString", "two"),
		awsclitest.Works(get+" --version-id "+token(1)+" --query SecretString", "one"),
		awsclitest.Works("secretsmanager describe-secret --secret-id "+name+" --query VersionIdsToStages.\""+token(3)+"\"", "AWSCURRENT"),
		awsclitest.Works("secretsmanager tag-resource --secret-id "+name+" --tags Key=a,Value=b", ""),
		awsclitest.Works("secretsmanager update-secret --secret-id "+name+" --description d --kms-key-id "+keyARN+" --query Name", name),
		awsclitest.Works("secretsmanager describe-secret --secret-id "+name+" --query [Description,KmsKeyId,Tags[0].Value]", "d\t"+keyARN+"\tb"),
		awsclitest.Fails("secretsmanager create-secret --name x --secret-string s --kms-key-id off", "(EncryptionFailure)"),
		awsclitest.Works("secretsmanager create-secret --name bin --secret-binary AAEC --query Name", "bin"),
		awsclitest.Works("secretsmanager get-secret-value --secret-id bin --query SecretBinary", "AAEC"),
		awsclitest.Works("secretsmanager delete-secret --secret-id bin --recovery-window-in-days 7 --query Name", "bin"),
		awsclitest.Fails("secretsmanager get-secret-value --secret-id bin", "(InvalidRequestException)"),
		awsclitest.Fails("secretsmanager create-secret --name bin --secret-string s", "already scheduled for deletion"),
		awsclitest.Works("secretsmanager delete-secret --secret-id "+name+" --force-delete-without-recovery --query Name", name),
		awsclitest.Fails(get, "(ResourceNotFoundException)"),
		awsclitest.Works("secretsmanager delete-secret --secret-id "+name+" --force-delete-without-recovery --query Name", name),
		awsclitest.Works("kms generate-data-key --key-id alias/mine --key-spec AES_256 --query [KeyId,Plaintext]", keyARN+"\tAAAAAAAA"),
		awsclitest.Works("kms decrypt --ciphertext-blob bG9jYWwta21zOgAAAAAAAAAB --query KeyId", keyARN),
		awsclitest.Fails("kms decrypt --ciphertext-blob bG9jYWwta21zOgAAAAAAAAAC", "(InvalidCiphertextException)"),
		awsclitest.Fails("kms decrypt --ciphertext-blob bG9jYWwta21zOgAAAAAAAAAB --encryption-context a=b", "(InvalidCiphertextException)"),
		awsclitest.Fails("kms generate-data-key --key-id none --key-spec AES_256", "(NotFoundException)"),
		awsclitest.Fails("kms generate-data-key --key-id off --key-spec AES_256", "(DisabledException)"),
	)
	c.AllCalled(t, "secretsmanager")
	c.AllCalled(t, "kms")
}

func TestKeysOfKMSAreAskedFor(t *testing.T) {
	c, m := newCloud(t)
	if err := m.Add(&secretsmanager.Secret{Place: fakeawstest.Here, Name: "locked", Value: "v", Key: keyARN}, &secretsmanager.Secret{Place: fakeawstest.Here, Name: "open", Value: "v"}); err != nil {
		t.Fatal(err)
	}
	c.CLI(t, c.User(t, "stranger", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:*","kms:*"],"Resource":"*"}]}`),
		awsclitest.Works("secretsmanager get-secret-value --secret-id open --query SecretString", "v"),
		awsclitest.Fails("secretsmanager get-secret-value --secret-id locked", "Access to KMS is not allowed"),
		awsclitest.Fails("secretsmanager put-secret-value --secret-id locked --secret-string w", "Access to KMS is not allowed"),
		awsclitest.Fails("secretsmanager create-secret --name new --kms-key-id "+keyARN+" --secret-string w", "Access to KMS is not allowed"),
		awsclitest.Fails("secretsmanager update-secret --secret-id open --kms-key-id "+keyARN, "Access to KMS is not allowed"),
	)
	c.CLI(t, c.User(t, "limited", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:*","Resource":"arn:aws:secretsmanager:*:111111111111:secret:teleport/*"}]}`),
		awsclitest.Works("secretsmanager create-secret --name teleport/a --secret-string w --query Name", "teleport/a"),
		awsclitest.Fails("secretsmanager create-secret --name other/a --secret-string w", "(AccessDeniedException)"),
		awsclitest.Fails("secretsmanager get-secret-value --secret-id open", "(AccessDeniedException)"),
	)
}

func TestVersionsAreLimitedByTheDay(t *testing.T) {
	c, m := newCloud(t)
	s := &secretsmanager.Secret{Place: fakeawstest.Here, Name: "s", Value: "v"}
	if err := m.Add(s); err != nil {
		t.Fatal(err)
	}
	c.Update(func() {
		for i := range 98 {
			s.Versions = append(s.Versions, &secretsmanager.Version{ID: token(1000 + i), Created: c.Now()})
		}
	})
	put := func(n int) string {
		return fmt.Sprintf("secretsmanager put-secret-value --secret-id s --secret-string x --client-request-token %s --query VersionId", token(n))
	}
	c.CLI(t, c.Admin, awsclitest.Works(put(1), token(1)), awsclitest.Fails(put(2), "(LimitExceededException)"), awsclitest.Works(put(1), token(1)))
	c.Clock.Advance(25 * time.Hour)
	c.Update(func() { // the command line's clock stays behind
		for _, v := range s.Versions {
			v.Created = v.Created.Add(-25 * time.Hour)
		}
	})
	c.Clock.Advance(-25 * time.Hour)
	c.CLI(t, c.Admin, awsclitest.Works(put(3), token(3)))
}
