package wire

import (
	"cmp"
	"net/http"
)

// Answer encodes a result in a protocol and writes it with status 200.
func Answer(w http.ResponseWriter, protocol Protocol, operation, namespace, requestID string, result Fields) {
	var body []byte
	switch protocol {
	case Query:
		body = queryAnswer(operation, namespace, requestID, result)
	case QueryJSON:
		body = jsonAnswer(Of(operation+"Response", Of(operation+"Result", result, "ResponseMetadata", Of("RequestId", requestID))))
	case EC2:
		body = ec2Answer(operation, namespace, requestID, result)
	default:
		body = jsonAnswer(result)
	}
	write(w, protocol, requestID, http.StatusOK, body)
}

// Fail encodes an error in a protocol and writes it with the protocol's idea of its status: the two JSON protocols with
// targets answer 400 to everything that is the caller's fault, access denied included.
func Fail(w http.ResponseWriter, protocol Protocol, namespace, requestID string, e *Error) {
	status := cmp.Or(e.Status, http.StatusBadRequest)
	var body []byte
	switch protocol {
	case Query:
		body = queryError(namespace, requestID, e)
	case QueryJSON:
		body = jsonAnswer(Of("Error", Of("Code", e.Code, "Message", e.Message, "Type", cmp.Or(e.Fault, "Sender")), "RequestId", requestID))
	case EC2:
		body = ec2Error(requestID, e)
	default:
		if protocol != RESTJSON && status < 500 {
			status = http.StatusBadRequest
		}
		w.Header().Set("X-Amzn-Errortype", jsonCode(e))
		body = jsonError(e)
	}
	write(w, protocol, requestID, status, body)
}

func write(w http.ResponseWriter, protocol Protocol, requestID string, status int, body []byte) {
	contentType := map[Protocol]string{Query: "text/xml", QueryJSON: "application/json", EC2: "text/xml;charset=UTF-8", JSON10: "application/x-amz-json-1.0",
		JSON11: "application/x-amz-json-1.1", RESTJSON: "application/json"}[protocol]
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Amzn-Requestid", requestID)
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away has no use for the rest
}
