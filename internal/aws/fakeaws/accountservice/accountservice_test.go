package accountservice_test

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/account"
	"github.com/aws/aws-sdk-go-v2/service/account/types"

	"sallyport/internal/aws/fakeaws/accountservice"
	"sallyport/internal/aws/fakeaws/fakeawstest"
)

// The command line of Debian does not know this operation.
func TestListRegions(t *testing.T) {
	c := fakeawstest.New(t)
	s := accountservice.New()
	c.Add(s.Service())
	c.Update(func() {
		s.OptIns[fakeawstest.AccountID] = map[string]string{"af-south-1": "ENABLED", "us-east-2": "DISABLED"}
	})
	regions := func(input *account.ListRegionsInput) (names []string) {
		for pages := account.NewListRegionsPaginator(account.NewFromConfig(c.Config(c.Admin, "us-east-1")), input); pages.HasMorePages(); {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Regions {
				names = append(names, *r.RegionName)
			}
		}
		return names
	}
	if all := regions(&account.ListRegionsInput{}); len(all) != 21 || len(c.Calls("account", "ListRegions")) != 2 {
		t.Errorf("got %v", all)
	}
	on := regions(&account.ListRegionsInput{RegionOptStatusContains: []types.RegionOptStatus{types.RegionOptStatusEnabled, types.RegionOptStatusEnabledByDefault}})
	if !slices.Contains(on, "af-south-1") || slices.Contains(on, "us-east-2") || slices.Contains(on, "me-south-1") || !slices.Contains(on, "us-west-1") {
		t.Errorf("got %v", on)
	}
	keys := c.User(t, "nobody", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"rds:*","Resource":"*"}]}`)
	_, err := account.NewFromConfig(c.Config(keys, "us-east-1")).ListRegions(t.Context(), &account.ListRegionsInput{})
	if code := fakeawstest.Code(t, err); code != "AccessDeniedException" {
		t.Errorf("got %q", code)
	}
}
