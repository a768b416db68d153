package inventory

import (
	"maps"
	"slices"
	"strings"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/wire"
)

// Sizes are how many resources a page may have.
type Sizes struct{ Least, Most, Usual int }

// Paging names the parameters that a service pages with.
type Paging struct {
	Size, Token string // parameters
	SizeCode    string // of the error about a size out of bounds
	TokenCode   string // of the error about an unknown token
	Sizes
}

// Page cuts the page out that a call asks for.
func Page[T any](c *fakeaws.Call, p Paging, all []T) (page []T, next any, err error) {
	size, err := c.Params.Int(p.Size, p.Usual)
	if err != nil {
		return nil, nil, err
	}
	if size < p.Least || size > p.Most {
		return nil, nil, wire.Errorf(p.SizeCode, "Invalid value %d for %s. Must be between %d and %d", size, p.Size, p.Least, p.Most)
	}
	page, token, err := fakeaws.Page(c, all, size, p.Token, p.TokenCode)
	return page, wire.Optional(token), err
}

// TagList are tags in the order of their keys, as Key and Value.
func TagList(element string, tags map[string]string) wire.List {
	return tagList(element, "Key", "Value", tags)
}

// LowerTagList are tags as key and value.
func LowerTagList(tags map[string]string) wire.List { return tagList("", "key", "value", tags) }

func tagList(element, key, value string, tags map[string]string) wire.List {
	return wire.ListOf(element, slices.Sorted(maps.Keys(tags)), func(name string) any {
		return wire.Of(key, name, value, tags[name])
	})
}

// TagContext are the condition keys for the tags of the resource that a call is about.
func TagContext(tags map[string]string) iam.Values {
	values := iam.Values{}
	for name, value := range tags {
		values["aws:ResourceTag/"+name] = []string{value}
	}
	return values
}

// NameIn is the name of a resource given by name or by ARN: what stands after the last separator.
func NameIn(text, separator string) string {
	if !strings.HasPrefix(text, "arn:") {
		return text
	}
	return text[strings.LastIndex(text, separator)+len(separator):]
}

// OneARN makes the Resources of an operation about one resource, named by a parameter, or about all: the ARN ends with the
// name or ARN given, or with a star.
func OneARN(service, kind, parameter string) func(*fakeaws.Call) ([]string, error) {
	return func(c *fakeaws.Call) ([]string, error) {
		name := c.Params.String(parameter)
		if strings.HasPrefix(name, "arn:") {
			return []string{name}, nil
		}
		if name == "" {
			name = "*"
		}
		return []string{c.ARN(service, kind+name)}, nil
	}
}
