//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// machines has the words of the pages for the hosts of their blocks.
var machines = map[string]string{
	"admin":       "the administrator's machine",
	"other":       "the other administrator's machine",
	"cluster":     "the Sallyport server",
	"node":        "the Database Service's host",
	"memorynode":  "the Database Service's second host",
	"elsewhere":   "a host outside AWS",
	"workstation": "another host outside AWS",
	"pod":         "the Database Service's pod",
	"finder":      "the Discovery Service's host",
	"laptop":      "Alice's machine",
	"database":    "a machine that reaches the database",
}

// TestGuidesSayWhere checks that readers of a rendered page, which does not show the first lines of blocks, know on which
// machine a block is for, and what file it is.
func TestGuidesSayWhere(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(guides, "*.md"))
	if err != nil || len(pages) < 5 {
		t.Fatalf("only %d guides were found: %v", len(pages), err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, lack := range unsaid(t, string(text)) {
			t.Errorf("%s: %s", filepath.Base(page), lack)
		}
	}
}

// TestUnsaid has the rules of TestGuidesSayWhere, each with the smallest page that breaks it.
func TestUnsaid(t *testing.T) {
	t.Parallel()
	const head = "# Page\n\n- **the Sallyport server** runs it\n- **Alice's machine** is hers\n\n## Step\n\n"
	tests := map[string]struct{ page, want string }{
		"the machine is named":                   {head + "On the Sallyport server:\n\n```console cluster\n$ a\n```\n", ""},
		"it is not":                              {head + "Do:\n\n```console cluster\n$ a\n```\n", "Step: the text right before the block does not say that it is on the Sallyport server"},
		"the paragraph is not the last one":      {head + "On the Sallyport server:\n\nDo:\n\n```console cluster\n$ a\n```\n", "Step: the text right before the block does not say that it is on the Sallyport server"},
		"the same machine goes on":               {head + "On the Sallyport server:\n\n```console cluster\n$ a\n```\n\nThen:\n\n```console cluster\n$ b\n```\n", ""},
		"it changes":                             {head + "On the Sallyport server:\n\n```console cluster\n$ a\n```\n\n```console laptop\n$ b\n```\n", "Step: the text right before the block does not say that it is on Alice's machine"},
		"a section begins anew":                  {head + "On the Sallyport server:\n\n```console cluster\n$ a\n```\n\n### Next\n\n```console cluster\n$ b\n```\n", "Next: the text right before the block does not say that it is on the Sallyport server"},
		"the file is named":                      {head + "On the Sallyport server, in `/etc/a`:\n\n```yaml cluster:/etc/a\n```\n", ""},
		"a file at home is named without folder": {head + "On the Sallyport server, in `a.json`:\n\n```json cluster:/root/a.json\n```\n", ""},
		"the file is not named":                  {head + "On the Sallyport server:\n\n```yaml cluster:/etc/a\n```\n", "Step: the text right before the block does not name its file `/etc/a`"},
		"the machine is not at the head":         {"# Page\n\n## Step\n\nOn Alice's machine:\n\n```console laptop\n$ a\n```\n", "Step: the head of the page does not have **Alice's machine**"},
		"the host has no words":                  {head + "There:\n\n```console moon\n$ a\n```\n", "Step: the host \"moon\" has no words for readers"},
	}
	for name, test := range tests {
		if got := strings.Join(unsaid(t, test.page), "\n"); got != test.want {
			t.Errorf("%s: %q, not %q", name, got, test.want)
		}
	}
}

// unsaid tells what a page does not say about its blocks: the head has all machines; the paragraph before a block has the
// machine, unless the section had it for the block before; and the name of its file, without the home folder.
func unsaid(t *testing.T, page string) []string {
	g, err := readGuide(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, section := range g.sections {
		say := func(format string, args ...any) {
			all = append(all, section.title+": "+fmt.Sprintf(format, args...))
		}
		before := ""
		for _, b := range section.blocks {
			words := machines[b.host]
			if words == "" {
				say("the host %q has no words for readers", b.host)
				continue
			}
			if !strings.Contains(g.head, "**"+words+"**") {
				say("the head of the page does not have **%s**", words)
			}
			if b.host != before && !strings.Contains(b.above, words) {
				say("the text right before the block does not say that it is on %s", words)
			}
			if file := strings.TrimPrefix(b.path, "/root/"); file != "" && !strings.Contains(b.above, "`"+file+"`") {
				say("the text right before the block does not name its file `%s`", file)
			}
			before = b.host
		}
	}
	return all
}
