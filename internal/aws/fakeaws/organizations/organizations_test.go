package organizations_test

import (
	"fmt"
	"testing"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/awsclitest"
	"sallyport/internal/aws/fakeaws/fakeawstest"
	"sallyport/internal/aws/fakeaws/organizations"
)

func TestAWSCLI(t *testing.T) {
	c := fakeawstest.New(t)
	o := organizations.New(c.World)
	c.Add(o.Service())
	dev := &organizations.Unit{ID: "ou-1", Name: "dev", Accounts: []*organizations.Member{{ID: "222222222222", Name: "dev"}, {ID: "333333333333", Status: "SUSPENDED"}}}
	many := &organizations.Unit{ID: "ou-2", Name: "many"}
	for i := range 45 {
		many.Accounts = append(many.Accounts, &organizations.Member{ID: fmt.Sprintf("5%011d", i)})
	}
	root := organizations.Unit{ID: "r-1", Units: []*organizations.Unit{dev, many}, Accounts: []*organizations.Member{{ID: fakeawstest.AccountID, Name: "top"}}}
	if err := o.Add(&organizations.Organization{ID: "o-1", Management: fakeawstest.AccountID, Root: root}); err != nil {
		t.Fatal(err)
	}
	if err := o.Add(&organizations.Organization{ID: "o-2", Management: "999999999999", Root: root}); err == nil {
		t.Error("a management account from outside was accepted")
	}
	c.CLIAt(t, "us-east-1", c.Admin,
		awsclitest.Works("organizations list-roots --query Roots[].[Id,Arn]", "r-1\tarn:aws:organizations::111111111111:root/o-1/r-1"),
		awsclitest.Works("organizations list-children --parent-id r-1 --child-type ORGANIZATIONAL_UNIT --query Children[].Id", "ou-1\tou-2"),
		awsclitest.Works("organizations list-children --parent-id ou-1 --child-type ACCOUNT --query Children[].Id", "222222222222\t333333333333"),
		awsclitest.Works("organizations list-accounts-for-parent --parent-id ou-1 --query Accounts[].[Id,Status,Name]", "222222222222\tACTIVE\tdev\n333333333333\tSUSPENDED\t333333333333"),
		awsclitest.Works("organizations list-accounts-for-parent --parent-id ou-2 --max-items 45 --query length(Accounts)", "20\n20\n5\n"),
		awsclitest.Works("organizations list-accounts --query Accounts[].Id --output json", "500000000044"),
		awsclitest.Fails("organizations list-accounts-for-parent --parent-id ou-3", "(ParentNotFoundException)"),
	)
	if calls := len(c.Calls("organizations", "ListAccounts")); calls != 3 {
		t.Errorf("%d pages", calls)
	}
	c.AllCalled(t, "organizations")
	for id, want := range map[string]string{"222222222222": "(AccessDeniedException)", "888888888888": "(AWSOrganizationsNotInUseException)"} {
		user, err := c.World.Account("aws", id).AddUser(fakeaws.User{Name: "u", Permissions: fakeaws.Permissions{Inline: map[string]string{"p": fakeawstest.Everything}}})
		if err != nil {
			t.Fatal(err)
		}
		c.CLIAt(t, "us-east-1", user.CreateKeys(), awsclitest.Fails("organizations list-roots", want))
	}
}
