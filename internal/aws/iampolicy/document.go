// Package iampolicy holds IAM policy documents as data: what each type of database asks for, how
// statements are put together, how large they may be and how they are divided when they are too large.
//
// It decides nothing about AWS at run time; it is the one place that knows which actions a service is
// used through.
package iampolicy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Version of the policy language, the only one in which variables work ("IAM JSON policy elements:
// Version" in the IAM user guide).
const Version = "2012-10-17"

// Allow is the effect of every statement made here.
const Allow = "Allow"

// Document is a policy.
type Document struct {
	Statements []Statement
}

// Statement allows actions on resources.
type Statement struct {
	Sid        string // letters and digits, unique in the document; may be empty
	Effect     string
	Principals []string // ARNs, in trust policies only
	Actions    []string
	Resources  []string // not in trust policies
	// Conditions are operator, key, values, as in StringEquals, sts:ExternalId, id.
	Conditions map[string]map[string][]string
}

// values is a list that is written as a string when it has one element.
type values []string

// MarshalJSON implements json.Marshaler.
func (v values) MarshalJSON() ([]byte, error) {
	if len(v) == 1 {
		return encode(v[0], "")
	}
	return encode([]string(v), "")
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *values) UnmarshalJSON(data []byte) error {
	var one string
	if bytes.Equal(data, []byte("null")) {
		return errors.New("must be a string or a list of strings")
	}
	if err := json.Unmarshal(data, &one); err == nil {
		*v = values{one}
		return nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return errors.New("must be a string or a list of strings")
	}
	*v = list
	return nil
}

// The written forms. The order of the fields is that of the examples in the IAM user guide.
type (
	documentJSON struct {
		Version   string        `json:"Version"`
		ID        string        `json:"Id,omitempty"`
		Statement statementList `json:"Statement"`
	}
	statementJSON struct {
		Sid       string                       `json:"Sid,omitempty"`
		Effect    string                       `json:"Effect"`
		Principal *principalJSON               `json:"Principal,omitempty"`
		Action    values                       `json:"Action"`
		Resource  values                       `json:"Resource,omitempty"`
		Condition map[string]map[string]values `json:"Condition,omitempty"`
	}
	principalJSON struct {
		AWS values `json:"AWS"`
	}
	statementList []statementJSON
)

// UnmarshalJSON accepts a single statement without a list around it, as IAM does.
func (l *statementList) UnmarshalJSON(data []byte) error {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		data = slices.Concat([]byte("["), data, []byte("]"))
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var list []statementJSON
	if err := dec.Decode(&list); err != nil {
		return err
	}
	*l = list
	return nil
}

// MarshalJSON implements json.Marshaler. Equal documents are written as equal bytes.
func (d Document) MarshalJSON() ([]byte, error) {
	out := documentJSON{Version: Version, Statement: statementList{}}
	for _, s := range d.Statements {
		one := statementJSON{Sid: s.Sid, Effect: s.Effect, Action: s.Actions, Resource: s.Resources}
		if len(s.Principals) > 0 {
			one.Principal = &principalJSON{AWS: s.Principals}
		}
		for operator, keys := range s.Conditions {
			if one.Condition == nil {
				one.Condition = map[string]map[string]values{}
			}
			one.Condition[operator] = map[string]values{}
			for key, list := range keys {
				one.Condition[operator][key] = list
			}
		}
		out.Statement = append(out.Statement, one)
	}
	return encode(out, "")
}

// UnmarshalJSON reads what this package can write. Elements that it does not know, such as NotAction, are
// an error: a document read, changed and written back must not lose any.
func (d *Document) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var in documentJSON
	if err := dec.Decode(&in); err != nil {
		return fmt.Errorf("the policy cannot be read: %w", err)
	}
	if in.Version != Version || in.ID != "" {
		return fmt.Errorf("the policy cannot be read: it is not one of version %s without an id", Version)
	}
	*d = Document{}
	for i, s := range in.Statement {
		if s.Effect != Allow && s.Effect != "Deny" || len(s.Action) == 0 {
			return fmt.Errorf("the policy cannot be read: statement %d lacks an effect or actions", i+1)
		}
		one := Statement{Sid: s.Sid, Effect: s.Effect, Actions: s.Action, Resources: s.Resource}
		if s.Principal != nil {
			one.Principals = s.Principal.AWS
		}
		for operator, keys := range s.Condition {
			for key, list := range keys {
				one.condition(operator, key, list)
			}
		}
		d.Statements = append(d.Statements, one)
	}
	return nil
}

func (s *Statement) condition(operator, key string, list []string) {
	if s.Conditions == nil {
		s.Conditions = map[string]map[string][]string{}
	}
	if s.Conditions[operator] == nil {
		s.Conditions[operator] = map[string][]string{}
	}
	s.Conditions[operator][key] = list
}

// String returns the document indented by four spaces, as people read it.
func (d Document) String() string {
	text, err := encode(d, "    ")
	if err != nil {
		panic("iampolicy: plain data does not encode: " + err.Error())
	}
	return string(text)
}

// Compact returns the document on one line, as programs read it.
func (d Document) Compact() string {
	text, err := encode(d, "")
	if err != nil {
		panic("iampolicy: plain data does not encode: " + err.Error())
	}
	return string(text)
}

// encode leaves characters such as & as they are, since people copy the text.
func encode(value any, indent string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
