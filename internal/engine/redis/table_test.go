package redis_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"sallyport/internal/redisserver"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestTableIsTheServers compares the list of commands with what a real server says of itself, so that a command that
// comes with a new version is looked at before it is passed on.
func TestTableIsTheServers(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	client := behind(t, s, "default").client(t, func(o *goredis.Options) { o.Protocol = 2 })
	all, err := client.Do(t.Context(), "COMMAND").Slice()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	var note func(command any)
	note = func(command any) {
		c := command.([]any)
		var flags []string
		if has(c[6], "@admin") {
			flags = append(flags, "admin")
		}
		for _, flag := range []string{"noscript", "write"} {
			if has(c[2], flag) {
				flags = append(flags, flag)
			}
		}
		words := []string{c[0].(string), strings.Join(flags, ",")}
		if len(flags) == 0 {
			words[1] = "-"
		}
		for _, spec := range c[8].([]any) {
			if text := keySpec(fields(spec)); text != "" {
				words = append(words, text)
			}
		}
		lines = append(lines, strings.Join(words, " "))
		for _, sub := range c[9].([]any) {
			note(sub)
		}
	}
	for _, command := range all {
		note(command)
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile("commands.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("commands.txt")
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("the server's commands are others than those in commands.txt; look at what has changed, and run with -update")
	}
}

func has(list any, name string) bool { return slices.Contains(list.([]any), any(name)) }

// fields makes a map of a flattened one.
func fields(list any) map[string]any {
	m := make(map[string]any)
	for pair := range slices.Chunk(list.([]any), 2) {
		m[pair[0].(string)] = pair[1]
	}
	return m
}

// keySpec writes a specification as the table has it; nothing for one that the server does not know either.
func keySpec(spec map[string]any) string {
	begin, find := fields(spec["begin_search"]), fields(spec["find_keys"])
	b, f := fields(begin["spec"]), fields(find["spec"])
	var text string
	switch begin["type"] {
	case "index":
		text = fmt.Sprintf("i%d:", b["index"])
	case "keyword":
		text = fmt.Sprintf("k%s,%d:", strings.ToLower(b["keyword"].(string)), b["startfrom"])
	default:
		return ""
	}
	if find["type"] == "keynum" {
		return text + fmt.Sprintf("n%d,%d,%d", f["keynumidx"], f["firstkey"], f["keystep"])
	}
	return text + fmt.Sprintf("r%d,%d,%d", f["lastkey"], f["keystep"], f["limit"])
}
