package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

type xmlWriter struct {
	bytes.Buffer
	element string // of lists that name none
}

func (w *xmlWriter) open(name string)  { w.WriteString("<" + name + ">") }
func (w *xmlWriter) close(name string) { w.WriteString("</" + name + ">") }

func (w *xmlWriter) text(s string) {
	_ = xml.EscapeText(&w.Buffer, []byte(s)) // a buffer does not fail
}

func (w *xmlWriter) field(name string, value any) {
	if value == nil {
		return
	}
	if list, ok := value.(List); ok && list.Flat {
		for _, item := range list.Items {
			w.field(name, item)
		}
		return
	}
	w.open(name)
	w.value(value)
	w.close(name)
}

func (w *xmlWriter) fields(fields Fields) {
	for _, f := range fields {
		w.field(f.Name, f.Value)
	}
}

func (w *xmlWriter) value(value any) {
	switch v := value.(type) {
	case Fields:
		w.fields(v)
	case List:
		element := v.Element
		if element == "" {
			element = w.element
		}
		for _, item := range v.Items {
			w.field(element, item)
		}
	case Map:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			w.field("entry", Fields{{"key", key}, {"value", v[key]}})
		}
	case time.Time:
		w.text(v.UTC().Format("2006-01-02T15:04:05.000Z"))
	case []byte:
		w.text(base64.StdEncoding.EncodeToString(v))
	case string:
		w.text(v)
	case bool:
		w.text(strconv.FormatBool(v))
	case int:
		w.text(strconv.Itoa(v))
	case int64:
		w.text(strconv.FormatInt(v, 10))
	case float64:
		w.text(strconv.FormatFloat(v, 'f', -1, 64))
	default:
		panic(fmt.Sprintf("wire: a value of type %T cannot be encoded", value))
	}
}

func queryAnswer(operation, namespace, requestID string, result Fields) []byte {
	w := &xmlWriter{element: "member"}
	fmt.Fprintf(w, `<%sResponse xmlns="%s">`, operation, namespace)
	if result != nil { // operations without an answer have no such element
		w.field(operation+"Result", result)
	}
	w.field("ResponseMetadata", Fields{{"RequestId", requestID}})
	w.close(operation + "Response")
	return w.Bytes()
}

func queryError(namespace, requestID string, e *Error) []byte {
	w := &xmlWriter{element: "member"}
	fault := e.Fault
	if fault == "" {
		fault = "Sender"
	}
	fmt.Fprintf(w, `<ErrorResponse xmlns="%s">`, namespace)
	w.field("Error", slices.Concat(Fields{{"Type", fault}, {"Code", e.Code}, {"Message", e.Message}}, e.Extra))
	w.field("RequestId", requestID)
	w.close("ErrorResponse")
	return w.Bytes()
}

func ec2Answer(operation, namespace, requestID string, result Fields) []byte {
	w := &xmlWriter{element: "item"}
	fmt.Fprintf(w, `<%sResponse xmlns="%s">`, operation, namespace)
	w.field("requestId", requestID)
	w.fields(result)
	w.close(operation + "Response")
	return w.Bytes()
}

func ec2Error(requestID string, e *Error) []byte {
	w := &xmlWriter{element: "item"}
	w.field("Response", Fields{
		{"Errors", Fields{{"Error", Fields{{"Code", e.Code}, {"Message", e.Message}}}}},
		{"RequestID", requestID}})
	return w.Bytes()
}
