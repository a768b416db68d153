package sallyport_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// beside are imports within a level, apart from those between a package and one inside it.
var beside = map[string]string{
	"resource":       "fault predicate yamlnode aws/endpoint",
	"cancelkey":      "peer resource",
	"access":         "fault peer predicate resource",
	"mtls":           "ca",
	"seal":           "durable",
	"store/sqlite":   "sqlitedb",
	"audit/spool":    "durable",
	"audit/eventlog": "durable sqlitedb",
	"introduction":   "mtls mux",
	"authapi":        "mux ca mtls",
	"cache":          "authapi",
	"cred":           "authapi ca",
	"health":         "upkeep",
	"aws":            "aws cred durable upkeep",
	"engine":         "session engine/testserver",
	"service":        "config",
	"pgserver":       "realserver",
	"mariaserver":    "realserver",
	"redisserver":    "realserver",
	"mongoserver":    "realserver",
	"clustertest":    "config service realserver",
}

// rules say what must not be reached, also by way of others, where the levels alone would allow it.
var rules = []struct{ from, never, because string }{
	{"cmd/tsh cmd/tctl", "service session audit/spool audit/eventlog auth store sqlitedb agent proxy engine web membership", "the clients carry no server"},
	{"proxy", "session store cred audit/spool", "a proxy reads no session and keeps no state"},
	{"session", "store sqlitedb cache tunnel", "a session gets what it needs from the agent"},
	{"engine/*", "store sqlitedb cache tunnel mux splice seal", "an engine knows its session only"},
	{"agent", "engine/* store sqlitedb", "the table of engines is in service; an agent knows auth by its API only"},
	{"audit/spool", "audit/eventlog sqlitedb", "the agent's disk and auth's log are apart"},
	{"access resource identity predicate", "net/http os/exec", "nouns and rules do no input or output"},
	{"ca", "resource access identity", "an authority signs what it is told"},
	{"aws/endpoint aws/iampolicy", "net/http", "names are read and policies are written without asking AWS"},
	{"aws/fakeaws cmd/fakeaws", "github.com/aws resource config fault", "a judge shares no code with the judged"},
	{"auth", "github.com/aws", "auth learns from AWS by interfaces, and judges without the SDK"},
	{"cmd/teleport", "aws/fakeaws", "the product does not carry its judge"},
}

// onlyIn says where a library may be imported.
var onlyIn = []struct{ library, allowed, because string }{
	{"modernc.org/sqlite", "internal/sqlitedb", "SQLite files are opened in one place"},
	{"github.com/goccy/go-yaml", "internal/yamlnode internal/client internal/aws/fakeaws", "YAML is read strictly and within limits; tsh's own profiles and the judge are the exceptions"},
	{"github.com/aws", "internal/aws", "what is said to AWS is said in one place"},
	{"github.com/smallstep/pkcs7", "internal/aws/awsjoin", "what comes signed from strangers is read in one place"},
	{"github.com/jackc/pgx/v5", "internal/engine/postgres", "PostgreSQL's messages are the engine's matter"},
	{"github.com/pires/go-proxyproto", "", "headers are read by our own reader, which tests compare with this library"},
	{"github.com/coder/websocket", "internal/detour", "WebSockets are spoken for one purpose"},
	{"filippo.io/edwards25519", "internal/engine/mysql", "one method of authentication needs it"},
	{"go.mongodb.org/mongo-driver/v2", "internal/engine/mongodb/mongotest internal/aws/fakeaws/dataplane bench", "MongoDB's own library judges ours"},
	{"github.com/spf13/cobra", "cmd internal/terminal internal/manual", "command lines are made at the top"},
	{"math/rand", "", "randomness is crypto/rand; math/rand/v2 serves jitter only"},
}

// testOnly are imported by tests and by each other only.
var testOnly = []string{"clustertest", "pgserver", "mariaserver", "redisserver", "realserver", "store/storetest", "audit/audittest", "engine/enginetest", "engine/testserver", "engine/postgres/pgtest", "engine/mysql/mysqltest", "engine/mongodb/mongotest", "engine/redis/redistest", "mongoserver", "aws/cloudtest", "aws/fakeaws/awsclitest", "aws/fakeaws/fakeawstest"}

// pkg is a package of this module, by its path below internal, or as in cmd/tsh.
type pkg struct {
	name          string
	imports, deps []string // of this module in the same form, and of others by their whole path
	doc           string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	// go list reads the sources out of sight of the test cache: walking them makes a change count.
	for _, root := range []string{"cmd", "internal", "bench", "scripts"} {
		if err := filepath.WalkDir(root, func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("go", "list", "-buildvcs=false", "-f", `{{if .GoFiles}}{{.ImportPath}}|{{join .Imports " "}}|{{join .Deps " "}}|{{.Doc}}{{end}}`, "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	short := func(path string) string {
		if ours, ok := strings.CutPrefix(path, "sallyport/"); ok {
			return strings.TrimPrefix(ours, "internal/")
		}
		return path
	}
	var all []pkg
	for line := range strings.Lines(string(out)) {
		parts := strings.SplitN(strings.TrimSpace(line), "|", 4)
		if len(parts) != 4 {
			continue
		}
		p := pkg{name: short(parts[0]), imports: strings.Fields(parts[1]), deps: strings.Fields(parts[2]), doc: parts[3]}
		for _, paths := range [][]string{p.imports, p.deps} {
			for i := range paths {
				paths[i] = short(paths[i])
			}
		}
		all = append(all, p)
	}
	if len(all) < 40 {
		t.Fatalf("go list names %d packages only", len(all))
	}
	return all
}

var (
	row     = regexp.MustCompile("(?m)^\\| (?:([0-9]), [^|]*)?\\| (`[^|]*) \\|")
	inTable = regexp.MustCompile("`([a-z0-9/]+)`|[()]")
)

// levels reads the table of packages in ARCHITECTURE.md.
func levels(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	found, level := map[string]int{}, 0
	for _, cells := range row.FindAllStringSubmatch(string(text), -1) {
		if cells[1] != "" {
			level, _ = strconv.Atoi(cells[1])
		}
		last, parent := "", ""
		for _, word := range inTable.FindAllStringSubmatch(cells[2], -1) {
			switch {
			case word[0] == "(":
				parent = last + "/"
			case word[0] == ")":
				parent = ""
			default:
				last = parent + word[1]
				found[last] = level
			}
		}
	}
	return found
}

// levelOf returns the level of a package, which is that of the nearest package around it in the table.
func levelOf(table map[string]int, name string) (level int, known bool) {
	for {
		if level, known = table[name]; known {
			return level, true
		}
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return 0, false
		}
		name = name[:i]
	}
}

func isInternal(name string) bool {
	for _, other := range []string{"cmd/", "bench", "e2e", "scripts/"} {
		if strings.HasPrefix(name, other) {
			return false
		}
	}
	return true
}

// within reports whether a package is the named one or inside it; "engine/*" is what is inside engine.
func within(name, pattern string) bool {
	if parent, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, parent)
	}
	return name == pattern || strings.HasPrefix(name, pattern+"/")
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	table, all := levels(t), packages(t)
	names := map[string]bool{}
	for _, p := range all {
		names[p.name] = true
	}
	for name := range table {
		if !names[name] {
			t.Errorf("ARCHITECTURE.md names the package %s, which does not exist", name)
		}
	}
	for _, p := range all {
		if !isInternal(p.name) {
			continue
		}
		level, known := levelOf(table, p.name)
		if !known {
			t.Errorf("%s has no level: give it a line in the table of ARCHITECTURE.md", p.name)
			continue
		}
		for _, imported := range p.imports {
			below, ours := levelOf(table, imported)
			switch {
			case !ours || !names[imported] || below < level || within(p.name, imported) || within(imported, p.name):
			case below > level:
				t.Errorf("%s (level %d) imports %s (level %d): imports point down", p.name, level, imported, below)
			case strings.HasPrefix(imported, "fault") || allowedBeside(p.name, imported):
			default:
				t.Errorf("%s imports %s, of the same level %d: see the list of such imports", p.name, imported, level)
			}
		}
	}
}

// allowedBeside reports whether the list allows an import within a level, for a package or one around it.
func allowedBeside(from, to string) bool {
	for name, allowed := range beside {
		if within(from, name) && slices.ContainsFunc(strings.Fields(allowed), func(a string) bool { return within(to, a) }) {
			return true
		}
	}
	return false
}

func TestSomePackagesNeverReachOthers(t *testing.T) {
	t.Parallel()
	all := packages(t)
	for _, rule := range rules {
		applied := 0
		for _, p := range all {
			if !slices.ContainsFunc(strings.Fields(rule.from), func(from string) bool { return within(p.name, from) }) {
				continue
			}
			applied++
			for _, dep := range p.deps {
				for never := range strings.FieldsSeq(rule.never) {
					if within(dep, never) && !slices.Contains(testOnly, p.name) {
						t.Errorf("%s reaches %s: %s", p.name, dep, rule.because)
					}
				}
			}
		}
		if applied == 0 {
			t.Errorf("the rule for %s applies to nothing", rule.from)
		}
	}
	for _, p := range all {
		for _, dep := range p.imports {
			if within(p.name, "engine/*") && within(dep, "engine/*") && !slices.Contains(testOnly, dep) && !slices.Contains(testOnly, p.name) && firstTwo(p.name) != firstTwo(dep) {
				t.Errorf("%s imports %s: an engine knows no other engine", p.name, dep)
			}
		}
	}
}

func firstTwo(name string) string {
	parts := strings.SplitN(name, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

func TestLibrariesStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	all := packages(t)
	for _, p := range all {
		whole := p.name
		if isInternal(p.name) {
			whole = "internal/" + p.name
		}
		for _, imported := range p.imports {
			for _, rule := range onlyIn {
				allowed := slices.ContainsFunc(strings.Fields(rule.allowed), func(where string) bool { return within(whole, where) })
				exact := rule.library == "math/rand"
				if !allowed && (imported == rule.library || !exact && within(imported, rule.library)) {
					t.Errorf("%s imports %s: %s", p.name, imported, rule.because)
				}
			}
			if slices.Contains(testOnly, imported) && !slices.Contains(testOnly, p.name) {
				t.Errorf("%s imports %s, which is for tests", p.name, imported)
			}
		}
	}
	for _, name := range testOnly {
		if !slices.ContainsFunc(all, func(p pkg) bool { return p.name == name }) {
			t.Errorf("%s, which is for tests, does not exist", name)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if p.doc == "" && !strings.Contains(p.name, "/sallyportv1") {
			t.Errorf("%s has no first sentence", p.name)
		}
	}
}
