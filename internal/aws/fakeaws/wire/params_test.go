package wire_test

import (
	"fmt"
	"net/url"
	"testing"

	"sallyport/internal/aws/fakeaws/wire"
)

func TestLists(t *testing.T) {
	for _, c := range []struct{ rule, form, list, want string }{
		{"items in the order of their numbers", "L.member.2=b&L.member.10=c&L.member.1=a", "L", "[a b c]"},
		{"any element name", "L.DBUser.1=a", "L", "[a]"},
		{"none at all, as EC2 has it", "L.1=a&L.2=b", "L", "[a b]"},
		{"an empty list", "L=", "L", "[]"},
		{"an absent list", "X=1", "L", "[]"},
		{"a list in a structure", "S.L.member.1=a", "S.L", "[a]"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			form, err := url.ParseQuery(c.form)
			if err != nil {
				t.Fatal(err)
			}
			p, err := wire.ParseForm(form)
			if err != nil || fmt.Sprint(p.Strings(c.list)) != c.want {
				t.Errorf("got %v, %v", p.Strings(c.list), err)
			}
		})
	}
	if _, err := wire.ParseForm(url.Values{"A": {"x"}, "A.B": {"y"}}); err == nil {
		t.Error("a value that is also a structure was accepted")
	}
}

func FuzzParams(f *testing.F) {
	f.Add("Filters.Filter.1.Name=engine&Filters.Filter.1.Values.Value.1=postgres&DbGroups=", false)
	f.Add(`{"Names":["a",1,{"b":null}],"Tags":[{"key":"k"}]}`, true)
	f.Fuzz(func(t *testing.T, text string, isJSON bool) {
		var p wire.Params
		if isJSON {
			parsed, err := wire.ParseJSON([]byte(text))
			if err != nil {
				return
			}
			p = parsed
		} else {
			form, err := url.ParseQuery(text)
			if err != nil {
				return
			}
			if p, err = wire.ParseForm(form); err != nil {
				return
			}
		}
		for _, name := range p.Names() {
			if !p.With("x", "y").Has("x") {
				t.Error("a parameter added is not there")
			}
			for _, one := range p.List(name) {
				one.Tags("a")
				one.Text()
			}
			p.Strings(name)
			p.String(name)
		}
	})
}
