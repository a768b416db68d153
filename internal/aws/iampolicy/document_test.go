package iampolicy_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/iampolicy"
)

func TestDocumentsAreWrittenAsPeopleReadThem(t *testing.T) {
	t.Parallel()
	d := iampolicy.Merge(
		iampolicy.Statement{Sid: "One", Effect: "Allow", Actions: []string{"a:B"}, Resources: []string{"x&y"},
			Conditions: map[string]map[string][]string{"StringEquals": {"k2": {"v"}, "k1": {"v", "w"}}}},
		iampolicy.Statement{Effect: "Allow", Actions: []string{"a:C", "a:D"}, Resources: []string{"x", "y"}},
	)
	const want = `{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "One",
            "Effect": "Allow",
            "Action": "a:B",
            "Resource": "x&y",
            "Condition": {
                "StringEquals": {
                    "k1": [
                        "v",
                        "w"
                    ],
                    "k2": "v"
                }
            }
        },
        {
            "Effect": "Allow",
            "Action": [
                "a:C",
                "a:D"
            ],
            "Resource": [
                "x",
                "y"
            ]
        }
    ]
}`
	if got := d.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var again iampolicy.Document
	if err := json.Unmarshal([]byte(want), &again); err != nil || !reflect.DeepEqual(again, d) {
		t.Errorf("read again: %+v, %v; want %+v", again, err, d)
	}
	compact := strings.Join(strings.Fields(want), "")
	if d.Size() != len(compact) {
		t.Errorf("size is %d, want %d, without white space", d.Size(), len(compact))
	}
}

func TestDocumentsOfOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"a single statement":     {`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`, true},
		"what would be lost":     {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"a:B","Resource":"*"}]}`, false},
		"a service as principal": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ec2.amazonaws.com"}}]}`, false},
		"an older version":       {`{"Version":"2008-10-17","Statement":[]}`, false},
		"a document with id":     {`{"Version":"2012-10-17","Id":"x","Statement":[]}`, false},
		"numbers":                {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":1,"Resource":"*"}]}`, false},
		"no policy":              {`[]`, false},
	} {
		var d iampolicy.Document
		if err := json.Unmarshal([]byte(c.text), &d); (err == nil) != c.ok {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

func TestMerging(t *testing.T) {
	t.Parallel()
	s := func(actions, resources string) iampolicy.Statement {
		return iampolicy.Statement{Effect: "Allow", Actions: strings.Fields(actions), Resources: strings.Fields(resources)}
	}
	denied := s("a", "y")
	denied.Effect = "Deny"
	under := s("a", "y")
	under.Conditions = map[string]map[string][]string{"Bool": {"k": {"true"}}}
	for name, c := range map[string]struct{ in, want []iampolicy.Statement }{
		"the same actions":                {[]iampolicy.Statement{s("a b", "x"), s("a b", "y x")}, []iampolicy.Statement{s("a b", "x y")}},
		"the same actions in other order": {[]iampolicy.Statement{s("a b", "x"), s("b a", "y")}, []iampolicy.Statement{s("a b", "x y")}},
		"everything includes the rest":    {[]iampolicy.Statement{s("a", "x"), s("a", "*")}, []iampolicy.Statement{s("a", "*")}},
		"other actions":                   {[]iampolicy.Statement{s("a", "x"), s("b", "x")}, []iampolicy.Statement{s("a", "x"), s("b", "x")}},
		"another effect":                  {[]iampolicy.Statement{s("a", "x"), denied}, []iampolicy.Statement{s("a", "x"), denied}},
		"a condition":                     {[]iampolicy.Statement{s("a", "x"), under}, []iampolicy.Statement{s("a", "x"), under}},
		"repeated actions":                {[]iampolicy.Statement{s("a a b", "x x")}, []iampolicy.Statement{s("a b", "x")}},
	} {
		if got := iampolicy.Merge(c.in...).Statements; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func rdsGrant(n int) iampolicy.Grant {
	connect, _ := iampolicy.Connect(iampolicy.Target{Type: endpoint.RDS, Partition: "aws", Region: "us-east-1", Account: account,
		ID: fmt.Sprintf("db-ABCDEFGHIJKLMNOPQRSTU%05d", n)})
	return iampolicy.Grant{Database: fmt.Sprint(n), Statements: connect}
}

func TestDividingIntoRoles(t *testing.T) {
	t.Parallel()
	var grants []iampolicy.Grant
	for n := range 1200 {
		grants = append(grants, rdsGrant(n))
	}
	reader := rdsGrant(0)
	reader.Database = "reader of 0"
	grants = append(grants, reader)
	for name, limit := range map[string]int{"user": iampolicy.LimitUserInline, "role": iampolicy.LimitRoleInline, "managed": iampolicy.LimitManaged} {
		parts, tooLarge := iampolicy.Fit(limit, grants)
		var all []string
		for i, part := range parts {
			all = append(all, part.Databases...)
			size := part.Document.Size()
			if size > limit {
				t.Errorf("%s: part %d takes %d of %d", name, i, size, limit)
			}
			if one := len(rdsGrant(0).Statements[0].Resources[0]) + len(`"",`); i < len(parts)-1 && size+one <= limit {
				t.Errorf("%s: part %d takes %d of %d and leaves room for another database", name, i, size, limit)
			}
		}
		slices.Sort(all)
		if len(tooLarge) > 0 || len(slices.Compact(all)) != 1201 {
			t.Errorf("%s: %d databases are served, %v are not", name, len(all), tooLarge)
		}
		if !slices.Contains(parts[0].Databases, reader.Database) {
			t.Errorf("%s: the reader is apart from its primary: %v", name, parts[0].Databases)
		}
	}
	if parts, tooLarge := iampolicy.Fit(50, grants[:1]); len(parts) != 0 || len(tooLarge) != 1 {
		t.Errorf("what fits nowhere: %v, %v", parts, tooLarge)
	}
	if parts, tooLarge := iampolicy.Fit(2048, []iampolicy.Grant{{Database: "none"}}); len(parts) != 1 || len(tooLarge) != 0 {
		t.Errorf("a database that needs nothing: %v, %v", parts, tooLarge)
	}
}

func FuzzDocument(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":["a","b"],"Condition":{"Bool":{"k":"v"}}}}`)
	f.Add(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["a"],"Principal":{"AWS":["x"]}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var d iampolicy.Document
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			return
		}
		written := d.String()
		var again iampolicy.Document
		if err := json.Unmarshal([]byte(written), &again); err != nil || again.String() != written {
			t.Fatalf("%q is written as %s, and that as %s, %v", text, written, again, err)
		}
	})
}
