package sallyport_test

import (
	"os/exec"
	"strings"
	"testing"
)

// rules say which packages must not be reached from which, and why.
var rules = []struct{ from, mustNotReach, because string }{
	{"sallyport/cmd/tsh", "sallyport/internal/auth", "the client must not carry the server"},
	{"sallyport/cmd/tsh", "sallyport/internal/store", "the client must not carry the server"},
	{"sallyport/cmd/tsh", "sallyport/internal/agent", "the client must not carry the server"},
	{"sallyport/cmd/tsh", "sallyport/internal/proxy", "the client must not carry the server"},
	{"sallyport/cmd/tsh", "sallyport/internal/engine", "the client must not carry the server"},
	{"sallyport/cmd/tctl", "sallyport/internal/auth", "the client must not carry the server"},
	{"sallyport/cmd/tctl", "sallyport/internal/store", "the client must not carry the server"},
	{"sallyport/cmd/tctl", "sallyport/internal/agent", "the client must not carry the server"},
	{"sallyport/cmd/tctl", "sallyport/internal/proxy", "the client must not carry the server"},
	{"sallyport/cmd/tctl", "sallyport/internal/engine", "the client must not carry the server"},
	{"sallyport/internal/auth", "sallyport/internal/proxy", "auth knows nobody above it"},
	{"sallyport/internal/auth", "sallyport/internal/agent", "auth knows nobody above it"},
	{"sallyport/internal/agent", "sallyport/internal/engine/postgres", "the table of engines is in service"},
	{"sallyport/internal/agent", "sallyport/internal/auth", "an agent knows auth by its API only"},
	{"sallyport/internal/agent", "sallyport/internal/proxy", "services do not know each other"},
	{"sallyport/internal/proxy", "sallyport/internal/session", "a proxy decides nothing and reads no session"},
	{"sallyport/internal/proxy", "sallyport/internal/store", "a proxy keeps no state"},
	{"sallyport/internal/engine/postgres", "sallyport/internal/auth", "an engine knows its session only"},
	{"sallyport/internal/engine/postgres", "sallyport/internal/agent", "an engine knows its session only"},
	{"sallyport/internal/engine/postgres", "sallyport/internal/tunnel", "an engine knows its session only"},
	{"sallyport/internal/engine/postgres", "sallyport/internal/store", "an engine knows its session only"},
	{"sallyport/internal/engine/postgres", "sallyport/internal/config", "an engine knows its session only"},
	{"sallyport/internal/session", "sallyport/internal/agent", "imports point down"},
	{"sallyport/internal/access", "sallyport/internal/store", "rules are pure"},
	{"sallyport/internal/access", "net/http", "rules are pure"},
	{"sallyport/internal/resource", "net/http", "nouns do no input or output"},
	{"sallyport/internal/audit/spool", "sallyport/internal/audit/eventlog", "the agent's disk and auth's log are apart"},
	{"sallyport/internal/aws/fakeaws", "github.com/aws/aws-sdk-go-v2/aws", "a judge does not share code with the judged"},
	{"sallyport/cmd/fakeaws", "github.com/aws/aws-sdk-go-v2/aws", "a judge does not share code with the judged"},
	{"sallyport/cmd/teleport", "sallyport/internal/aws/fakeaws", "the product does not carry its judge"},
	{"sallyport/internal/ca", "sallyport/internal/resource", "an authority signs what it is told"},
}

// onlyIn says where a library may be imported.
var onlyIn = []struct{ library, allowed, because string }{
	{"modernc.org/sqlite", "sallyport/internal/store/sqlite sallyport/internal/audit/eventlog", "the SQL driver stays in the stores"},
	{"github.com/spf13/cobra", "sallyport/cmd/ sallyport/internal/terminal sallyport/internal/manual", "command lines are made at the top"},
	{"math/rand", "", "randomness is crypto/rand; math/rand/v2 serves jitter only"},
}

// nobody reaches what is for tests.
var testOnly = []string{"storetest", "enginetest", "pgtest", "pgserver", "clustertest", "awsclitest", "cloudtest"}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	deps := map[string]map[string]bool{}
	for _, rule := range rules {
		if deps[rule.from] == nil {
			deps[rule.from] = map[string]bool{}
			for _, dep := range goList(t, "-deps", rule.from) {
				deps[rule.from][dep] = true
			}
		}
		if deps[rule.from][rule.mustNotReach] {
			t.Errorf("%s reaches %s: %s", rule.from, rule.mustNotReach, rule.because)
		}
	}
}

func TestLibrariesStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		fields := strings.Fields(line)
		for _, imported := range fields[1:] {
			for _, rule := range onlyIn {
				if imported != rule.library {
					continue
				}
				allowed := false
				for _, where := range strings.Fields(rule.allowed) {
					allowed = allowed || strings.HasPrefix(fields[0], where)
				}
				if !allowed {
					t.Errorf("%s imports %s: %s", fields[0], rule.library, rule.because)
				}
			}
			for _, name := range testOnly {
				if strings.HasSuffix(imported, "/"+name) && !strings.HasSuffix(fields[0], "test") {
					t.Errorf("%s imports %s, which is for tests", fields[0], imported)
				}
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for _, line := range goList(t, "-f", `{{if .GoFiles}}{{.ImportPath}}|{{.Doc}}{{end}}`, "./...") {
		path, doc, _ := strings.Cut(line, "|")
		generated := strings.Contains(path, "/sallyportv1")
		if doc == "" && !generated {
			t.Errorf("%s has no first sentence", path)
		}
	}
}
