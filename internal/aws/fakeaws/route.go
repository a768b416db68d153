package fakeaws

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"sallyport/internal/aws/fakeaws/sigv4"
	"sallyport/internal/aws/fakeaws/wire"
)

// routed is where a request leads: by the credential scope, and where that says too little by X-Amz-Target, Version, path
// and host name.
type routed struct {
	service   *Service
	operation *Operation
	params    wire.Params
}

func unknownOperation(status int) *wire.Error {
	return &wire.Error{Code: "InvalidAction", JSONCode: "UnknownOperationException", Status: status,
		Message: "Could not find operation in this local AWS."}
}

// route finds service and operation. When only the service is found, the error can be answered in its protocol.
func (w *World) route(r *http.Request, body []byte, scope sigv4.Scope) (routed, *wire.Error) {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		return w.routeTarget(target, body, scope)
	}
	if found, ok := w.routeREST(r, scope); ok {
		return w.restParams(found, r, body)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return routed{}, wire.Errorf("MalformedQueryString", "The query string is malformed.")
	}
	if len(form) == 0 {
		form = r.URL.Query()
	}
	return w.routeForm(r, form, scope)
}

func (s *Service) signedAs(scope sigv4.Scope) bool {
	return scope.Service == "" || scope.Service == s.Scope
}

func (s *Service) named(operation string) *Operation {
	i := slices.IndexFunc(s.Operations, func(o Operation) bool { return o.Name == operation })
	if i < 0 {
		return nil
	}
	return &s.Operations[i]
}

func (w *World) routeTarget(target string, body []byte, scope sigv4.Scope) (routed, *wire.Error) {
	prefix, name, _ := strings.Cut(target, ".")
	var found routed
	for _, s := range w.services {
		if s.Target == "" || s.Target != prefix || !s.signedAs(scope) {
			continue
		}
		found.service = s
		if found.operation = s.named(name); found.operation != nil {
			break
		}
	}
	if found.operation == nil {
		return found, unknownOperation(http.StatusBadRequest)
	}
	params, err := wire.ParseJSON(body)
	if err != nil {
		return found, wire.Errorf("SerializationException", "The request is not a JSON object.")
	}
	found.params = params
	return found, nil
}

func (w *World) routeForm(r *http.Request, form url.Values, scope sigv4.Scope) (routed, *wire.Error) {
	var found routed
	for _, s := range w.services {
		if s.Version == "" || !s.signedAs(scope) || s.Version != form.Get("Version") {
			continue
		}
		found.service = s
		if found.operation = s.named(form.Get("Action")); found.operation != nil {
			break
		}
	}
	if found.operation == nil {
		return found, unknownOperation(http.StatusBadRequest)
	}
	params, err := wire.ParseForm(form)
	if err != nil {
		return found, wire.Errorf("MalformedQueryString", "%v", err)
	}
	found.params = params
	return found, nil
}

func (w *World) routeREST(r *http.Request, scope sigv4.Scope) (routed, bool) {
	for _, s := range w.services {
		if s.Protocol != wire.RESTJSON || !s.signedAs(scope) {
			continue
		}
		for i := range s.Operations {
			if matchPath(s.Operations[i].Path, r) {
				return routed{service: s, operation: &s.Operations[i]}, true
			}
		}
		if scope.Service != "" {
			return routed{service: s}, true
		}
	}
	return routed{}, false
}

// matchPath compares with "METHOD /a/{name}" and sets the request's path values.
func matchPath(pattern string, r *http.Request) bool {
	method, path, _ := strings.Cut(pattern, " ")
	want, got := strings.Split(strings.TrimSuffix(path, "/"), "/"), strings.Split(strings.TrimSuffix(r.URL.EscapedPath(), "/"), "/")
	if method != r.Method || len(want) != len(got) {
		return false
	}
	for i := range want {
		if name, ok := strings.CutPrefix(want[i], "{"); ok {
			value, err := url.PathUnescape(got[i])
			if err != nil {
				return false
			}
			r.SetPathValue(strings.TrimSuffix(name, "}"), value)
		} else if want[i] != got[i] {
			return false
		}
	}
	return true
}

func (w *World) restParams(found routed, r *http.Request, body []byte) (routed, *wire.Error) {
	if found.operation == nil {
		return found, unknownOperation(http.StatusNotFound)
	}
	params, err := wire.ParseJSON(body)
	if err != nil {
		return found, wire.Errorf("SerializationException", "The request is not a JSON object.")
	}
	for name, values := range r.URL.Query() {
		params = params.With(name, values[0])
	}
	for segment := range strings.SplitSeq(found.operation.Path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			params = params.With(name, r.PathValue(name))
		}
	}
	found.params = params
	return found, nil
}

var regionPattern = regexp.MustCompile(`^[a-z]{2}(-gov)?-[a-z]+-[0-9]+$`)

// hostRegion says which region and service an AWS-shaped host name stands for; ok is false for any other name.
func hostRegion(host string) (service, region string, ok bool) {
	host, _, _ = strings.Cut(host, ":")
	rest, china := strings.CutSuffix(host, ".amazonaws.com.cn")
	if !china {
		if rest, ok = strings.CutSuffix(host, ".amazonaws.com"); !ok {
			return "", "", false
		}
	}
	labels := strings.Split(rest, ".")
	service = strings.TrimSuffix(labels[0], "-fips")
	for _, label := range labels[1:] {
		if regionPattern.MatchString(label) {
			region = label
		}
	}
	if region == "" && china {
		region = "cn-north-1"
	} else if region == "" && len(labels) > 1 && labels[1] == "us-gov" {
		region = "us-gov-west-1"
	} else if region == "" {
		region = "us-east-1"
	}
	return service, region, (PartitionOf(region) == "aws-cn") == china
}
