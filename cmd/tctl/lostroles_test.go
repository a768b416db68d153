package main

import (
	"strings"
	"testing"
)

func TestWhoLosesRolesKeepsThemForAWhileWhichIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ before, now, lost string }{
		"one of two":            {"access db", "access", "db"},
		"all":                   {"access db", "", "access,db"},
		"one for another":       {"access", "db", "access"},
		"another order":         {"access db", "db access", ""},
		"one more":              {"access", "access db", ""},
		"nobody was there":      {"", "access", ""},
		"neither had any roles": {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told strings.Builder
			if err := noteLost(&told, "alice", strings.Fields(c.before), strings.Fields(c.now)); err != nil {
				t.Fatal(err)
			}
			text := told.String()
			if c.lost == "" && text != "" {
				t.Errorf("told %q", text)
			}
			if c.lost != "" && (!strings.HasPrefix(text, "NOTE: alice no longer has "+c.lost+". ") || !strings.HasSuffix(text, " tctl lock --user=alice\n")) {
				t.Errorf("told %q, want that %s is gone", text, c.lost)
			}
		})
	}
}
