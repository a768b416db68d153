package resource

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Template is an entry of a role that may refer to a trait of the user, as in
// team-{{external.team}} or {{email.local(external.email)}}. It is immutable.
type Template struct {
	Prefix, Suffix string
	// Trait is the name of the trait; empty when the entry is plain text, which is then in Prefix.
	Trait string
	// Steps change each value of the trait, first to last.
	Steps []TemplateStep
}

// TemplateStep is one function of a template. Without a pattern it keeps the part of an e-mail
// address before the @; with one it replaces what matches and drops values that do not.
type TemplateStep struct {
	Pattern     *regexp.Regexp
	Replacement string
}

const (
	maxTemplate  = 4096
	maxFunctions = 8
)

// internalTraits returns the names that may follow "internal.".
func internalTraits() []string {
	return []string{
		"db_users", "db_names", "db_roles", "logins", "windows_logins", "kubernetes_users", "kubernetes_groups",
		"aws_role_arns", "azure_identities", "gcp_service_accounts", "jwt", "host_user_uid", "host_user_gid",
	}
}

// ParseTemplate reads an entry. Text without braces is a template without a trait.
func ParseTemplate(s string) (Template, error) {
	before, rest, open := strings.Cut(s, "{{")
	if !open {
		if strings.Contains(s, "}}") {
			return Template{}, fmt.Errorf("%q has }} without {{", s)
		}
		return Template{Prefix: s}, nil
	}
	if len(s) > maxTemplate {
		return Template{}, fmt.Errorf("the template is longer than %d bytes", maxTemplate)
	}
	end := closingBraces(rest)
	if end < 0 {
		return Template{}, fmt.Errorf("%q has {{ without }}", s)
	}
	body, after := rest[:end], rest[end+2:]
	if strings.Contains(before, "}}") || strings.Contains(after, "{{") || strings.Contains(after, "}}") {
		return Template{}, fmt.Errorf("%q has more than one pair of {{ and }}; use one in each entry", s)
	}
	t := Template{Prefix: strings.TrimLeft(before, " "), Suffix: strings.TrimRight(after, " ")}
	if err := t.parseExpression(strings.TrimSpace(body), 0); err != nil {
		return Template{}, fmt.Errorf("%q is not a valid template: %w", s, err)
	}
	return t, nil
}

// closingBraces returns where the }} is that is not inside quotes, or -1.
func closingBraces(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted && s[i] == '\\':
			i++
		case !quoted && strings.HasPrefix(s[i:], "}}"):
			return i
		}
	}
	return -1
}

func (t *Template) parseExpression(s string, depth int) error {
	if depth > maxFunctions {
		return fmt.Errorf("functions are nested too deep")
	}
	name, args, isCall := strings.Cut(s, "(")
	if !isCall || strings.Contains(name, `"`) {
		return t.parseVariable(s)
	}
	args, closed := strings.CutSuffix(args, ")")
	if !closed {
		return fmt.Errorf("a closing parenthesis is missing")
	}
	switch strings.TrimSpace(name) {
	case "email.local":
		if err := t.parseExpression(strings.TrimSpace(args), depth+1); err != nil {
			return err
		}
		t.Steps = append(t.Steps, TemplateStep{})
		return nil
	case "regexp.replace":
		return t.parseReplace(args, depth)
	default:
		return fmt.Errorf("there is no function %q; use email.local or regexp.replace", name)
	}
}

func (t *Template) parseReplace(args string, depth int) error {
	args, replacement, err := cutLastString(args)
	if err != nil {
		return err
	}
	args, pattern, err := cutLastString(args)
	if err != nil {
		return err
	}
	if err := t.parseExpression(strings.TrimSpace(args), depth+1); err != nil {
		return err
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("%q is not a regular expression", pattern)
	}
	t.Steps = append(t.Steps, TemplateStep{Pattern: re, Replacement: replacement})
	return nil
}

// cutLastString splits off the last argument, which must be a quoted string, with its comma. It is
// found from the left, since quotes can be told from escaped ones in that direction only.
func cutLastString(args string) (before, value string, err error) {
	comma, quoted := -1, false
	depth := 0
	for i := 0; i < len(args); i++ {
		switch c := args[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			comma = i
		}
	}
	if comma < 0 {
		return "", "", fmt.Errorf(`regexp.replace needs a variable, a pattern and a replacement, the last two in quotes`)
	}
	text := strings.TrimSpace(args[comma+1:])
	if len(text) >= 2 && text[0] == '"' {
		value, err = strconv.Unquote(text)
		if err != nil { // patterns are often written with single backslashes, as in "\d+"
			value, err = strings.ReplaceAll(text[1:len(text)-1], `\"`, `"`), nil
		}
		return args[:comma], value, err
	}
	return "", "", fmt.Errorf("%q must be in double quotes", text)
}

var variable = regexp.MustCompile(`^(internal|external)(?:\.([A-Za-z][A-Za-z0-9_]*)|\[("(?:[^"\\]|\\.)*")\])$`)

func (t *Template) parseVariable(s string) error {
	m := variable.FindStringSubmatch(s)
	if m == nil {
		return fmt.Errorf(`%q is not a variable; write internal.NAME, external.NAME or external["any name"]`, s)
	}
	namespace, name := m[1], m[2]
	if m[3] != "" {
		unquoted, err := strconv.Unquote(m[3])
		if err != nil {
			return fmt.Errorf("%s is not a valid string", m[3])
		}
		name = unquoted
	}
	if name == "" {
		return fmt.Errorf("a variable needs a name")
	}
	if namespace == "internal" && !slices.Contains(internalTraits(), name) {
		return fmt.Errorf("internal.%s is not known; use external.%s for a trait of your own, or one of %s", name, name, strings.Join(internalTraits(), ", "))
	}
	t.Trait = name
	return nil
}
