// Package wire speaks the protocols of AWS's APIs: Query, EC2's dialect of it, JSON 1.0 and 1.1, and REST-JSON.
//
// A request becomes Params whatever its protocol; an answer is written once, as Fields, and encoded in the protocol of
// the request. Source: the protocol descriptions of Smithy (smithy.io, "AWS protocols").
package wire

import "fmt"

// Protocol is how a service is spoken to.
type Protocol int

// The protocols.
const (
	Query     Protocol = iota // form in, XML out
	EC2                       // the same with other lists and errors
	JSON10                    // application/x-amz-json-1.0, X-Amz-Target
	JSON11                    // application/x-amz-json-1.1, X-Amz-Target
	RESTJSON                  // method and path, JSON body
	QueryJSON                 // form in, JSON out: what STS answers to those who accept JSON only
)

// Fields is a structure of an answer, in order. A field whose value is nil is left out.
type Fields []Field

// Field is one member: Value is a string, bool, int, int64, float64, time.Time, []byte, Fields, List, Map or nil.
type Field struct {
	Name  string
	Value any
}

// List is a list. Element is the XML name of its items: "" means member in Query and item in EC2; a list whose Flat is set
// repeats the field's own name instead. JSON knows no element names. A nil Items is an empty list, not an absent one.
type List struct {
	Element string
	Flat    bool
	Items   []any
}

// Map is a map of strings, encoded in the order of its keys.
type Map map[string]string

// ListOf makes a list of anything by turning each item into a value.
func ListOf[T any](element string, items []T, value func(T) any) List {
	l := List{Element: element, Items: []any{}}
	for _, item := range items {
		l.Items = append(l.Items, value(item))
	}
	return l
}

// Strings makes a list of strings.
func Strings(element string, items []string) List {
	return ListOf(element, items, func(s string) any { return s })
}

// Error is an answer that is an error of the service, in the words AWS uses.
type Error struct {
	Code, Message string
	Status        int    // of HTTP; 0 means 400
	Fault         string // "Sender" when empty; "Receiver" blames AWS
	// JSONCode replaces Code in the JSON protocols, where AWS calls the same thing otherwise (AccessDeniedException).
	JSONCode string
	Extra    Fields // further members of the error
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Errorf makes an Error with status 400.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// StatusErrorf makes an Error with a status of HTTP.
func StatusErrorf(status int, code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Status: status}
}

// Of makes Fields of names and values in turn.
func Of(pairs ...any) Fields {
	fields := make(Fields, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		fields = append(fields, Field{pairs[i].(string), pairs[i+1]})
	}
	if len(pairs)%2 != 0 {
		panic("wire: a name without a value")
	}
	return fields
}
