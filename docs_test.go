package sallyport_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	relativeLink = regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)
	numberedNote = regexp.MustCompile(`docs/design/([0-9]{4})-[^/]*\.md$`)
)

// TestDocumentsLeadSomewhere checks that what the documents link to exists, that README.md leads to each, and that notes on
// decisions begin with the number in their name, which no other has.
func TestDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	documents, links := 0, 0
	numbers := map[string]string{}
	err = filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		documents++
		if filepath.Dir(path) == "docs" && !strings.Contains(string(readme), "("+filepath.ToSlash(path)+")") {
			t.Errorf("the map in README.md lacks %s", path)
		}
		for _, link := range relativeLink.FindAllStringSubmatch(string(data), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), link[1])); err != nil {
				t.Errorf("%s links to %s: %v", path, link[1], err)
			}
		}
		if note := numberedNote.FindStringSubmatch(filepath.ToSlash(path)); note != nil {
			if !strings.HasPrefix(string(data), "# "+note[1]+" ") {
				t.Errorf("%s does not begin with its number", path)
			}
			if other := numbers[note[1]]; other != "" {
				t.Errorf("%s and %s have one number", other, path)
			}
			numbers[note[1]] = path
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if documents < 30 || links < 30 || len(numbers) < 20 {
		t.Errorf("only %d documents, %d links and %d notes were found", documents, links, len(numbers))
	}
}
