package access

import (
	"fmt"
	"strings"

	"sallyport/internal/resource"
)

// Expand replaces the variable in an entry of a role by the values of the trait, one entry for each.
// A missing or empty trait gives no entry and no error, as does a value that regexp.replace does not
// match. A value that is not an e-mail address where one is needed is an error.
func Expand(template string, traits map[string][]string) ([]string, error) {
	t, err := resource.ParseTemplate(template)
	if err != nil {
		return nil, err
	}
	if t.Trait == "" {
		return []string{t.Prefix}, nil
	}
	var out []string
	for _, value := range traits[t.Trait] {
		value, keep, err := runSteps(t.Steps, value)
		if err != nil {
			return nil, err
		}
		if keep && value != "" {
			out = append(out, t.Prefix+value+t.Suffix)
		}
	}
	return out, nil
}

func runSteps(steps []resource.TemplateStep, value string) (result string, keep bool, err error) {
	for _, step := range steps {
		if step.Pattern == nil {
			if value, err = emailLocal(value); err != nil {
				return "", false, err
			}
			continue
		}
		if !step.Pattern.MatchString(value) {
			return "", false, nil
		}
		value = step.Pattern.ReplaceAllString(value, step.Replacement)
	}
	return value, true, nil
}

func emailLocal(address string) (string, error) {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" || domain == "" || strings.ContainsAny(domain, "@ \t") || strings.ContainsAny(local, " \t\"") {
		return "", fmt.Errorf("email.local needs e-mail addresses, and a trait of the user has another value")
	}
	return local, nil
}

func expandAll(entries []string, traits map[string][]string) ([]string, error) {
	var out []string
	for _, entry := range entries {
		expanded, err := Expand(entry, traits)
		if err != nil {
			return nil, err
		}
		out = append(out, expanded...)
	}
	return out, nil
}
