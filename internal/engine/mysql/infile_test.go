package mysql_test

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/engine/mysql"
)

func TestFilesThatAStatementAsksFor(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"load data local infile 'a' into table t":                                          "[a]",
		"LOAD DATA LOW_PRIORITY LOCAL INFILE \"a b\" INTO TABLE t":                         "[a b]",
		"load xml concurrent local\n infile 'a''b' into table t":                           "[a'b]",
		`load data local infile 'a\'b\\c' into table t`:                                    `[a'b\c]`,
		"select 1; load data /* why */ local -- now\n infile 'a' into table t":             "[a]",
		"load data local infile 'a' into table t; load data local infile 'b' into table t": "[a b]",
		"load data infile 'a' into table t":                                                "[]",
		"select 'load data local infile ''a'''":                                            "[]",
		"select 1 -- load data local infile 'a'":                                           "[]",
		"select 1 # load data local infile 'a'":                                            "[]",
		"select 1 /* load data local infile 'a' */":                                        "[]",
		"/*!50000 load data local infile 'a' into table t */":                              "[]",
		"load data local infile x 'a'":                                                     "[]",
		"load local data infile 'a'":                                                       "[]",
		"load data local infile 'never ends":                                               "[]",
		"load data local infile `a`":                                                       "[]",
		"":                                                                                 "[]",
		"load data local infile '" + strings.Repeat("x", 4097) + "'":                       "[]",
		strings.Repeat("load data local infile 'x' into table t;", 100):                    "[" + strings.TrimSpace(strings.Repeat("x ", 64)) + "]",
	} {
		if got := fmt.Sprint(mysql.FilesIn([]byte(text))); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func FuzzFiles(f *testing.F) {
	f.Add([]byte("load data local infile 'a\\'b' into table t"))
	f.Fuzz(func(t *testing.T, text []byte) {
		total := 0
		for _, name := range mysql.FilesIn(text) {
			total += len(name)
		}
		if total > len(text) {
			t.Fatalf("%d bytes of names in %d", total, len(text))
		}
	})
}
