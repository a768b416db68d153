package config

import (
	"slices"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/fault"
)

const awsExample = `
Databases in AWS are served when type, region and tags match:
aws:
- types: ["rds"]
  regions: ["us-west-1"]
  tags:
    "*": "*"`

const azureExample = `
Databases in Azure are served when type, place and tags match:
azure:
- types: ["postgres"]
  subscriptions: ["*"]
  resource_groups: ["*"]
  regions: ["eastus"]
  tags:
    "*": "*"`

func (y *yamlText) discovery(f DatabaseFile) error {
	awsTags, err := labelSelector("--aws-tags", f.AWSTags)
	if err != nil {
		return err
	}
	azureTags, err := labelSelector("--azure-tags", f.AzureTags)
	if err != nil {
		return err
	}
	aws := matched(f.AWSDiscovery, awsDatabaseTypes())
	if len(aws) == 0 {
		y.comment(1, awsExample)
	} else {
		y.line(1, "aws:")
	}
	for _, name := range aws {
		regions := splitList(f.AWSDiscovery[name])
		for _, region := range regions {
			if !endpoint.IsRegion(region) {
				return fault.New(fault.BadParameter, "--%s-discovery: %q is not a region, as in us-west-1", name, region)
			}
		}
		y.list(1, "- types", []string{name})
		y.list(2, "regions", regions)
		y.labels(2, "tags", awsTags)
	}
	azure := matched(f.AzureDiscovery, azureDatabaseTypes())
	if len(azure) == 0 {
		y.comment(1, azureExample)
	} else {
		y.line(1, "azure:")
	}
	for _, name := range azure {
		y.list(1, "- types", []string{name})
		y.list(2, "subscriptions", orStar(splitList(f.AzureSubscriptions)))
		y.list(2, "resource_groups", orStar(splitList(f.AzureResourceGroups)))
		y.list(2, "regions", splitList(f.AzureDiscovery[name]))
		y.labels(2, "tags", azureTags)
	}
	return nil
}

// matched returns the types that have regions, in the order of the known ones.
func matched(byType map[string][]string, known []string) []string {
	return slices.DeleteFunc(known, func(name string) bool { return len(splitList(byType[name])) == 0 })
}
