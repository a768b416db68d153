package sigv4_test

import (
	"strings"
	"testing"

	"sallyport/internal/aws/fakeaws/sigv4"
)

func FuzzParseAuthorization(f *testing.F) {
	for _, v := range vectors() {
		f.Add(v.authorization())
	}
	f.Add("AWS4-HMAC-SHA256 Credential=,,,=")
	f.Fuzz(func(t *testing.T, header string) {
		auth, err := sigv4.ParseAuthorization(header)
		if err != nil {
			return
		}
		if len(auth.Signature) != 64 || len(auth.SignedHeaders) == 0 || auth.Scope.AccessKey == "" {
			t.Errorf("accepted without all parts: %+v", auth)
		}
		if err := vectors()[0].message().Verify(auth, "a secret nobody signed with"); err == nil {
			t.Error("a signature was found good")
		}
	})
}

func FuzzParsePresigned(f *testing.F) {
	f.Add("db.example:5432/?Action=connect&DBUser=alice&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Frds-db%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
	f.Add("db.example:5432?X-Amz-Algorithm=%")
	f.Add("/?")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := sigv4.ParsePresigned(text)
		if err != nil {
			return
		}
		if token.Host == "" || strings.ContainsAny(token.Host, "/?") || token.Expires <= 0 {
			t.Errorf("accepted: %+v", token)
		}
		if token.Verify("a secret nobody signed with") == nil {
			t.Error("a signature was found good")
		}
	})
}
