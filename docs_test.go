package sallyport_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	relativeLink = regexp.MustCompile(`\]\(([^)#:\s]*)(?:#([^)\s]*))?\)`)
	numberedNote = regexp.MustCompile(`docs/design/([0-9]{4})-[^/]*\.md$`)
	fenced       = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	heading      = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInAnchors = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	testName     = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z0-9]\w*`)
	testDeclared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
)

// filesNamed returns the paths of all files with an extension.
func filesNamed(t *testing.T, extension string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == extension {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestDocumentsLeadSomewhere checks that what the documents link to exists, with its heading, that README.md leads to each, and
// that notes on decisions begin with the number in their name, which no other has.
func TestDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	readme := read(t, "README.md")
	documents, links, toHeadings := filesNamed(t, ".md"), 0, 0
	numbers := map[string]string{}
	for _, path := range documents {
		text := read(t, path)
		if filepath.Dir(path) == "docs" && !strings.Contains(readme, "("+filepath.ToSlash(path)+")") {
			t.Errorf("the map in README.md lacks %s", path)
		}
		for _, link := range relativeLink.FindAllStringSubmatch(text, -1) {
			links++
			target := path
			if link[1] != "" {
				target = filepath.Join(filepath.Dir(path), link[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", path, link[1], err)
			} else if link[2] != "" {
				toHeadings++
				if !slices.Contains(anchors(read(t, target)), link[2]) {
					t.Errorf("%s links to #%s, and %s has no such heading", path, link[2], target)
				}
			}
		}
		if note := numberedNote.FindStringSubmatch(filepath.ToSlash(path)); note != nil {
			if !strings.HasPrefix(text, "# "+note[1]+" ") {
				t.Errorf("%s does not begin with its number", path)
			}
			if other := numbers[note[1]]; other != "" {
				t.Errorf("%s and %s have one number", other, path)
			}
			numbers[note[1]] = path
		}
	}
	if len(documents) < 30 || links < 30 || toHeadings < 10 || len(numbers) < 20 {
		t.Errorf("only %d documents, %d links, %d of them to headings, and %d notes were found", len(documents), links, toHeadings, len(numbers))
	}
}

// anchors returns how links name the headings of a document: in lower case, without punctuation, with hyphens for spaces, and
// with a number from the second of a name on.
func anchors(text string) []string {
	var found []string
	times := map[string]int{}
	for _, line := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		anchor := strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(line[1]), ""), " ", "-")
		if n := times[anchor]; n > 0 {
			found = append(found, fmt.Sprintf("%s-%d", anchor, n))
		} else {
			found = append(found, anchor)
		}
		times[anchor]++
	}
	return found
}

func TestTestsThatDocumentsNameExist(t *testing.T) {
	t.Parallel()
	declared := map[string]bool{}
	for _, path := range filesNamed(t, ".go") {
		for _, name := range testDeclared.FindAllStringSubmatch(read(t, path), -1) {
			declared[name[1]] = true
		}
	}
	named := 0
	for _, path := range filesNamed(t, ".md") {
		for _, name := range testName.FindAllString(read(t, path), -1) {
			named++
			if !declared[name] {
				t.Errorf("%s names %s, which is no test", path, name)
			}
		}
	}
	if named < 300 {
		t.Errorf("documents name only %d tests", named)
	}
}
