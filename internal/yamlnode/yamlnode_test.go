package yamlnode_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"sallyport/internal/yamlnode"
)

func TestNodesKnowTheirLines(t *testing.T) {
	t.Parallel()
	docs, problems, err := yamlnode.Read([]byte("a: &x\n  b: 1\nlist:\n- *x\n- two\n"), yamlnode.Options{})
	if err != nil || len(problems) > 0 || len(docs) != 1 {
		t.Fatalf("read %d documents, problems %v, %v", len(docs), problems, err)
	}
	want := map[string]int{"": 1, "a": 1, "a.b": 2, "list": 3, "list[0]": 4, "list[0].b": 2, "list[1]": 5}
	lines := docs[0].Lines()
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("lines are %v, want %v", lines, want)
	}
	if got := yamlnode.LineOf(lines, "list[0].missing.key"); got != 4 {
		t.Errorf("the line of a missing key is %d, want that of the item above it, 4", got)
	}
}

func TestAllProblemsOfATextAreTold(t *testing.T) {
	t.Parallel()
	docs, problems, err := yamlnode.Read([]byte("a: *none\nb: 1\nb: 2\nc: .nan\n"), yamlnode.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []yamlnode.Problem{
		{Path: "a", Line: 1, Message: "the alias *none refers to nothing above; put the text in quotes if it is not an alias"},
		{Path: "b", Line: 3, Message: `the key "b" is already on line 2`},
		{Path: "c", Line: 4, Message: `".nan" is not supported here`},
	}
	if !reflect.DeepEqual(problems, want) {
		t.Errorf("problems are %v, want %v", problems, want)
	}
	if b := docs[0].Get("b"); b == nil || b.Text != "1" {
		t.Errorf("b is %v, want the first of the two", b)
	}
}

func TestOptionsAllowWhatIsRefusedOtherwise(t *testing.T) {
	t.Parallel()
	const text = "a: &a {x: 0x10, y: !!str 7}\nb: {<<: *a, x: 1_000}\n"
	if _, _, err := yamlnode.Read([]byte(text), yamlnode.Options{}); err == nil {
		t.Error("a tag and a merge key are taken without the option")
	}
	docs, problems, err := yamlnode.Read([]byte(text), yamlnode.Options{Extras: true, AsWritten: true})
	if err != nil || len(problems) > 0 {
		t.Fatalf("problems %v, %v", problems, err)
	}
	if got, want := string(docs[0].JSON()), `{"a":{"x":"0x10","y":"7"},"b":{"x":"1_000","y":"7"}}`; got != want {
		t.Errorf("read %s, want %s", got, want)
	}
}

func TestChainsThatTheParserWouldFollowAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"&a ", "!a ", "&a !b ", "!b &a "} {
		_, _, err := yamlnode.Read([]byte(strings.Repeat(text, 100_000)), yamlnode.Options{Extras: true})
		if at, ok := errors.AsType[*yamlnode.LineError](err); !ok || at.Line != 1 {
			t.Errorf("a chain of %q: %v, want an error about line 1", text, err)
		}
	}
}

func TestAssignFillsInWhatFitsAndTellsTheRest(t *testing.T) {
	t.Parallel()
	docs, _, err := yamlnode.Read([]byte("name: 7\nsize: \"5\"\nport: x\nnmae: y\ntags: [a, {}]\n"), yamlnode.Options{})
	if err != nil {
		t.Fatal(err)
	}
	type thing struct {
		Name string   `yaml:"name"`
		Size int      `json:"size"`
		Port int      `yaml:"port" json:"other"`
		Tags []string `json:"tags,omitempty"`
	}
	for _, test := range []struct {
		loose bool
		want  thing
		told  string
	}{
		{false, thing{Tags: []string{"a", ""}}, `name size port nmae?name tags[1]`},
		{true, thing{Name: "7", Size: 5, Tags: []string{"a", ""}}, `port nmae?name tags[1]`},
	} {
		var got thing
		var told []string
		a := yamlnode.Assigner{
			Tags: []string{"yaml", "json"}, Loose: test.loose,
			Add:     func(path, _ string, _ ...any) { told = append(told, path) },
			Unknown: func(_, key, nearest string) { told = append(told, key+"?"+nearest) },
		}
		a.Assign(reflect.ValueOf(&got).Elem(), docs[0], "")
		if !reflect.DeepEqual(got, test.want) || strings.Join(told, " ") != test.told {
			t.Errorf("loose %t: %+v and problems %v, want %+v and %s", test.loose, got, told, test.want, test.told)
		}
	}
}
