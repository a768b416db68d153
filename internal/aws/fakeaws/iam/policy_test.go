package iam_test

import (
	"strings"
	"testing"

	"sallyport/internal/aws/fakeaws/iam"
)

func TestMalformedDocumentsAreRefused(t *testing.T) {
	for _, c := range []struct {
		rule     string
		kind     iam.Kind
		document string
	}{
		{"no JSON", iam.Identity, `x`},
		{"unknown member", iam.Identity, `{"Version":"2012-10-17","Statements":[]}`},
		{"no statement", iam.Identity, `{"Version":"2012-10-17","Statement":[]}`},
		{"unknown version", iam.Identity, `{"Version":"2020-01-01","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`},
		{"something after it", iam.Identity, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}} x`},
		{"unknown effect", iam.Identity, statements(`{"Effect":"allow","Action":"*","Resource":"*"}`)},
		{"no action", iam.Identity, statements(`{"Effect":"Allow","Resource":"*"}`)},
		{"Action and NotAction", iam.Identity, statements(`{"Effect":"Allow","Action":"*","NotAction":"a:b","Resource":"*"}`)},
		{"action without a service", iam.Identity, statements(`{"Effect":"Allow","Action":"DescribeDBInstances","Resource":"*"}`)},
		{"no resource", iam.Identity, statements(`{"Effect":"Allow","Action":"*"}`)},
		{"resource that is no ARN", iam.Identity, statements(`{"Effect":"Allow","Action":"*","Resource":"orders"}`)},
		{"principal in an identity policy", iam.Identity, statements(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`)},
		{"the same Sid twice", iam.Identity, statements(`{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"}`)},
		{"unknown condition", iam.Identity, statements(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringIs":{"aws:x":"y"}}}`)},
		{"condition key without a service", iam.Identity, statements(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"x":"y"}}}`)},
		{"resource in a trust policy", iam.Trust, statements(`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}`)},
		{"no principal in a trust policy", iam.Trust, statements(`{"Effect":"Allow","Action":"sts:AssumeRole"}`)},
		{"principal that is nobody", iam.Trust, statements(`{"Effect":"Allow","Principal":{},"Action":"sts:AssumeRole"}`)},
		{"principal that is a name", iam.Trust, statements(`{"Effect":"Allow","Principal":{"AWS":"alice"},"Action":"sts:AssumeRole"}`)},
		{"too large", iam.Identity, statements(`{"Effect":"Allow","Action":"*","Resource":"*"}` + strings.Repeat(" ", iam.MaxDocument))},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if p, err := iam.Parse(c.document, c.kind); err == nil {
				t.Errorf("accepted: %+v", p)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(statements(`{"Effect":"Allow","Action":["rds:*"],"Resource":"*","Condition":{"ForAnyValue:StringLikeIfExists":{"aws:TagKeys":["a*",1,true]}}}`), 0)
	f.Add(statements(`{"Effect":"Deny","NotPrincipal":{"AWS":["111111111111"]},"NotAction":"sts:AssumeRole"}`), 1)
	f.Fuzz(func(t *testing.T, document string, kind int) {
		p, err := iam.Parse(document, iam.Kind(kind%3))
		if err != nil {
			return
		}
		request := iam.Request{Action: "rds:X", Resource: "arn:aws:rds:r:1:db:x", Context: iam.Values{"aws:username": {"alice"}}}
		sources := []iam.Source{{Name: "p", Policy: p}}
		d := iam.Evaluate(iam.Caller{Account: "1", ARN: "arn:aws:iam::1:user/alice", Identity: sources}, request)
		if d.Allowed && d.Statement == "" {
			t.Error("allowed by no statement")
		}
		for _, s := range p.Statements {
			if len(s.Actions) == 0 && len(s.NotActions) == 0 {
				t.Error("a statement without actions was accepted")
			}
		}
		if iam.EvaluateResource(iam.Caller{}, request, sources[0], "1").Allowed && kind%3 == 0 {
			t.Error("an identity policy trusted somebody")
		}
	})
}
