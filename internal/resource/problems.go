package resource

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/fault"
	"sallyport/internal/yamlnode"
)

const maxNameLength = 255

// Problem is one thing wrong with one key.
type Problem struct {
	Path    string // of the key, as in spec.allow.db_users[1]; empty for the whole document
	Message string
}

// problems collects everything wrong with one resource, so that a person corrects it in one go.
type problems struct {
	list     []Problem
	warnings []Warning
}

func (p *problems) add(path, format string, args ...any) {
	p.list = append(p.list, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (p *problems) warn(path, format string, args ...any) {
	p.warnings = append(p.warnings, Warning{Path: path, Message: fmt.Sprintf(format, args...)})
}

// Warning is something about a key that is accepted and will probably not do what its author expects.
type Warning struct {
	Path    string // as in spec.uri
	Message string
}

const noEffect = "has no effect in this program"

// Warnings returns what Validate accepts with doubts.
func Warnings(r Resource) []Warning { return inspect(Clone(r)).warnings }

// validate is the common part of every Validate method.
func validate(r Resource) error {
	found := Inspect(r)
	if len(found) == 0 {
		return nil
	}
	texts := make([]string, len(found))
	for i, one := range found {
		texts[i] = one.Path + ": " + one.Message
	}
	name := ""
	if r.GetName() != "" && r.GetKind() != KindToken { // the name of a token is its secret
		name = fmt.Sprintf(" %q", r.GetName())
	}
	return fault.New(fault.BadParameter, "%s%s is not valid: %s", r.GetKind(), name, strings.Join(texts, "; "))
}

// Inspect is Validate for callers that place each problem themselves: it fills in the defaults and
// returns everything that is wrong.
func Inspect(r Resource) []Problem {
	return inspect(r).list
}

func inspect(r Resource) *problems {
	p := &problems{}
	checkHeader(p, r)
	r.check(p)
	return p
}

func checkHeader(p *problems, r Resource) {
	h := r.header()
	if kind := kindOf(r); h.Kind != kind {
		p.add("kind", "must be %q, not %q", kind, h.Kind)
		h.Kind = kind
	}
	if !supportsVersion(h.Kind, h.Version) {
		if h.Version == "" {
			p.add("version", "is missing; use %s", yamlnode.AnyOf(Versions(h.Kind)))
		} else {
			p.add("version", "%q is not supported for kind %q; use %s", h.Version, h.Kind, yamlnode.AnyOf(Versions(h.Kind)))
		}
	}
	if name, ok := SingletonName(h.Kind); ok {
		h.Metadata.Name = name
	}
	if h.Metadata.Expires != nil {
		utc := h.Metadata.Expires.UTC()
		h.Metadata.Expires = &utc
	}
	for _, key := range sortedKeys(h.Metadata.Labels) {
		path := yamlnode.KeyPath("metadata.labels", key)
		if key == "" {
			p.add(path, "a label needs a name")
		}
		checkPrintable(p, path, key)
		checkPrintable(p, path, h.Metadata.Labels[key])
	}
	if h.Metadata.Description != "" {
		checkProse(p, "metadata.description", h.Metadata.Description)
	}
}

// checkName applies the rule for names that become part of store keys, certificates and tables.
func checkName(p *problems, path, name string) {
	switch {
	case name == "":
		p.add(path, "is missing")
	case len(name) > maxNameLength:
		p.add(path, "is longer than %d bytes", maxNameLength)
	case strings.TrimSpace(name) != name:
		p.add(path, "must not begin or end with a space")
	case strings.Contains(name, "/"):
		p.add(path, "must not contain a slash")
	default:
		checkPrintable(p, path, name)
	}
}

// checkPrintable refuses text that could disturb a terminal, a log or a table.
func checkPrintable(p *problems, path, text string) { checkText(p, path, text, unprintable) }

// checkProse is checkPrintable for texts that may have several lines.
func checkProse(p *problems, path, text string) {
	checkText(p, path, text, func(r rune) bool { return r != '\n' && r != '\t' && unprintable(r) })
}

func checkText(p *problems, path, text string, bad func(rune) bool) {
	if !utf8.ValidString(text) {
		p.add(path, "is not valid UTF-8")
	} else if strings.ContainsFunc(text, bad) {
		p.add(path, "must not contain control characters")
	}
}

// unprintable reports control characters, and format characters that reorder text.
func unprintable(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

func checkOneOf(p *problems, path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.add(path, "%q is not known; use %s", value, yamlnode.AnyOf(allowed))
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
