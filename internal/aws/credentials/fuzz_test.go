package credentials_test

import (
	"strings"
	"testing"

	"github.com/aws/smithy-go"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/fault"
)

// FuzzExplain has AWS, or whoever stands in its place, refuse calls in any words. What is made of them is read by people.
func FuzzExplain(f *testing.F) {
	f.Add("AccessDenied", "User: arn:aws:sts::1:assumed-role/a/b is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::2:role/c because no role trust policy allows the sts:AssumeRole action")
	f.Add("LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role agent")
	f.Add("SignatureDoesNotMatch", "Signature expired: x is now earlier than y")
	f.Add("Throttling", "Rate exceeded")
	f.Add("X", "password=hunter2\nINFO all is well")
	f.Fuzz(func(t *testing.T, code, message string) {
		refused := &smithy.GenericAPIError{Code: code, Message: message}
		err := credentials.Explain(refused)
		if fault.Is(err, fault.Internal) || fault.Message(err) == "" {
			t.Fatalf("%q, %q: %v", code, message, err)
		}
		denial, denied := credentials.Denied(refused)
		if !denied {
			return
		}
		if strings.ContainsAny(denial.Caller+denial.Action+denial.Resource, " \t\r\n") || denial.Resource != "" && denial.Action == "" {
			t.Fatalf("%q: %+v", message, denial)
		}
		if !strings.Contains(message, denial.Caller) || !strings.Contains(message, denial.Action) || !strings.Contains(message, denial.Resource) {
			t.Fatalf("%q does not say %+v", message, denial)
		}
		if !fault.Is(err, fault.AccessDenied) && !strings.Contains(message, "Maximum policy size") {
			t.Fatalf("%q: %v", message, err)
		}
	})
}
