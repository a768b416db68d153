package fakeaws_test

import (
	"strings"
	"testing"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/awsclitest"
)

func TestAWSCLI(t *testing.T) {
	c := newCloud(t, fakeaws.Config{})
	const url = "https://oidc.example/id"
	issuer, err := c.AddIssuer(url)
	if err != nil {
		t.Fatal(err)
	}
	provider := c.account.AddProvider(url, "sts.amazonaws.com")
	token, err := issuer.Token(fakeaws.Claims{Subject: "pod"})
	if err != nil {
		t.Fatal(err)
	}
	admin := addUser(t, c.account, "admin", everything)
	keys := admin.CreateKeys()
	const arn = "arn:aws:iam::111111111111:policy/p1"
	policy, other := allowing(`"rds:*"`, "*"), allowing(`"iam:GetUser"`, "*")
	commands := []awsclitest.Command{
		awsclitest.Works("sts get-caller-identity", "111111111111\tarn:aws:iam::111111111111:user/admin\tAIDA"),
		awsclitest.Works("iam create-role --role-name r1 --assume-role-policy-document "+quote(trusting(`{"AWS":"`+admin.ARN()+`"}`))+" --tags Key=k,Value=v", "arn:aws:iam::111111111111:role/r1"),
		awsclitest.Works("iam get-role --role-name r1 --query Role.AssumeRolePolicyDocument.Statement[0].Principal.AWS", admin.ARN()),
		awsclitest.Works("iam get-role --role-name r1 --query Role.[MaxSessionDuration,Tags[0].Value]", "3600\tv"),
		awsclitest.Fails("iam get-role --role-name none", "The role with name none cannot be found."),
		awsclitest.Works("iam update-assume-role-policy --role-name r1 --policy-document "+quote(trusting(`{"AWS":"111111111111"}`)), ""),
		awsclitest.Works("sts assume-role --role-arn arn:aws:iam::111111111111:role/r1 --role-session-name s1 --external-id xy --tags Key=a,Value=b --query AssumedRoleUser.Arn", "arn:aws:sts::111111111111:assumed-role/r1/s1"),
		awsclitest.Fails("sts assume-role --role-arn arn:aws:iam::111111111111:role/none --role-session-name s1", "User: "+admin.ARN()+" is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111111111111:role/none"),
		awsclitest.Works("iam create-role --role-name pod --assume-role-policy-document "+quote(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"`+provider.ARN+`"},"Action":"sts:AssumeRoleWithWebIdentity"}]}`), "role/pod"),
		awsclitest.Works("sts assume-role-with-web-identity --role-arn arn:aws:iam::111111111111:role/pod --role-session-name s1 --web-identity-token "+token+" --query [SubjectFromWebIdentityToken,Audience,Provider]", "pod\tsts.amazonaws.com\t"+provider.ARN),
		awsclitest.Works("iam create-user --user-name u1", "arn:aws:iam::111111111111:user/u1"),
		awsclitest.Works("iam create-access-key --user-name u1 --query AccessKey.Status", "Active"),
		awsclitest.Works("iam get-user --query User.UserName", "admin"),
		awsclitest.Works("iam get-user --user-name u1 --query User.UserName", "u1"),
		awsclitest.Works("iam put-role-policy --role-name r1 --policy-name in1 --policy-document "+quote(policy), ""),
		awsclitest.Works("iam get-role-policy --role-name r1 --policy-name in1 --query PolicyDocument.Statement[0].Action", "rds:*"),
		awsclitest.Works("iam list-role-policies --role-name r1 --query PolicyNames", "in1"),
		awsclitest.Works("iam delete-role-policy --role-name r1 --policy-name in1", ""),
		awsclitest.Fails("iam get-role-policy --role-name r1 --policy-name in1", "(NoSuchEntity)"),
		awsclitest.Works("iam put-user-policy --user-name u1 --policy-name in1 --policy-document "+quote(policy), ""),
		awsclitest.Works("iam get-user-policy --user-name u1 --policy-name in1 --query PolicyDocument.Statement[0].Action", "rds:*"),
		awsclitest.Works("iam list-user-policies --user-name u1 --query PolicyNames", "in1"),
		awsclitest.Works("iam delete-user-policy --user-name u1 --policy-name in1", ""),
		awsclitest.Works("iam create-policy --policy-name p1 --description d --policy-document "+quote(policy)+" --tags Key=teleport,Value= --query Policy.Arn", arn),
		awsclitest.Works("iam get-policy --policy-arn "+arn+" --query Policy.[DefaultVersionId,Tags[0].Key,Description]", "v1\tteleport\td"),
		awsclitest.Works("iam create-policy-version --policy-arn "+arn+" --set-as-default --policy-document "+quote(other)+" --query PolicyVersion.[VersionId,IsDefaultVersion]", "v2\tTrue"),
		awsclitest.Works("iam get-policy-version --policy-arn "+arn+" --version-id v2 --query PolicyVersion.Document.Statement[0].Action", "iam:GetUser"),
		awsclitest.Works("iam list-policy-versions --policy-arn "+arn+" --query Versions[].VersionId", "v2\tv1"),
		awsclitest.Works("iam set-default-policy-version --policy-arn "+arn+" --version-id v1", ""),
		awsclitest.Works("iam delete-policy-version --policy-arn "+arn+" --version-id v2", ""),
		awsclitest.Works("iam tag-policy --policy-arn "+arn+" --tags Key=a,Value=b", ""),
		awsclitest.Works("iam list-policy-tags --policy-arn "+arn+" --query Tags[].Key", "a\tteleport"),
		awsclitest.Works("iam list-policies --scope Local --query Policies[].PolicyName", "p1"),
		awsclitest.Works("iam attach-role-policy --role-name r1 --policy-arn "+arn, ""),
		awsclitest.Works("iam list-attached-role-policies --role-name r1 --query AttachedPolicies[].PolicyName", "p1"),
		awsclitest.Works("iam detach-role-policy --role-name r1 --policy-arn "+arn, ""),
		awsclitest.Works("iam attach-user-policy --user-name u1 --policy-arn "+arn, ""),
		awsclitest.Works("iam list-attached-user-policies --user-name u1 --query AttachedPolicies[].PolicyName", "p1"),
		awsclitest.Works("iam detach-user-policy --user-name u1 --policy-arn "+arn, ""),
		awsclitest.Works("iam put-role-permissions-boundary --role-name r1 --permissions-boundary "+arn, ""),
		awsclitest.Works("iam get-role --role-name r1 --query Role.PermissionsBoundary.PermissionsBoundaryArn", arn),
		awsclitest.Fails("iam delete-policy --policy-arn "+arn, "(DeleteConflict)"),
		awsclitest.Works("iam delete-role-permissions-boundary --role-name r1", ""),
		awsclitest.Works("iam put-user-permissions-boundary --user-name u1 --permissions-boundary "+arn, ""),
		awsclitest.Works("iam delete-user-permissions-boundary --user-name u1", ""),
		awsclitest.Works("iam delete-policy --policy-arn "+arn, ""),
		awsclitest.Fails("iam get-policy --policy-arn "+arn, "(NoSuchEntity)"),
	}
	awsclitest.Client{URL: c.url, Region: "us-east-1", AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey}.Run(t, commands)
	missing := map[string]bool{} // of the operations that are answered
	for _, name := range c.Operations("sts", "iam") {
		missing[name] = true
	}
	for _, e := range c.Journal() {
		delete(missing, e.Operation)
	}
	if len(missing) > 0 {
		t.Errorf("not called: %v", missing)
	}
}

// quote protects the spaces of a JSON argument from words.
func quote(document string) string { return strings.ReplaceAll(document, " ", "") }
