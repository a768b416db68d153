package resp_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/engine/redis/resp"
)

func show(args [][]byte) string {
	texts := make([]string, len(args))
	for i, arg := range args {
		texts[i] = string(arg)
	}
	return strings.Join(texts, "|")
}

// parse reads all commands of data, as far as they are complete.
func parse(data []byte, limits resp.Limits) (commands []string, rest int, err error) {
	var p resp.Parser
	for {
		size, _, err := p.Parse(data, limits)
		if err != nil || size == 0 {
			return commands, len(data), err
		}
		if len(p.Args) > 0 {
			commands = append(commands, show(p.Args))
		}
		data = data[size:]
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data string
		want []string
		rest int
	}{
		"one":                           {"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", []string{"GET|k"}, 0},
		"two, one incomplete":           {"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPI", []string{"PING"}, 10},
		"an empty argument":             {"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", []string{"ECHO|"}, 0},
		"an argument with a line end":   {"*2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\n", []string{"ECHO|\r\n"}, 0},
		"no arguments":                  {"*0\r\n*-1\r\n\r\nPING\r\n", []string{"PING"}, 0},
		"a line":                        {"SET  k\t\"a b\" 'c d' \"\\x41\\n\\\"\" 'it\\'s'\n", []string{"SET|k|a b|c d|A\n\"|it's"}, 0},
		"a line, then a command":        {"PING\r\n*1\r\n$4\r\nQUIT\r\n", []string{"PING", "QUIT"}, 0},
		"an empty argument in a line":   {"SET k \"\"\r\n", []string{"SET|k|"}, 0},
		"a quote in the middle of word": {"ECHO a\"b\"\r\n", []string{"ECHO|ab"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, rest, err := parse([]byte(c.data), resp.DefaultLimits)
			if err != nil || !slices.Equal(got, c.want) || rest != c.rest {
				t.Errorf("got %q, %d left, %v; want %q, %d", got, rest, err, c.want, c.rest)
			}
		})
	}
}

// Each of these the server reads in another way than it looks, or refuses.
func TestMalformedCommands(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"a number with a zero before it":   "*01\r\n$4\r\nPING\r\n",
		"a number with a plus":             "*+1\r\n$4\r\nPING\r\n",
		"a number with a space":            "* 1\r\n$4\r\nPING\r\n",
		"minus zero":                       "*-0\r\n",
		"no number":                        "*\r\n",
		"letters":                          "*x\r\n",
		"a number beyond 64 bits":          "*99999999999999999999\r\n",
		"a length below zero":              "*1\r\n$-1\r\n",
		"a length beyond 64 bits":          "*1\r\n$18446744073709551620\r\n",
		"something else than a string":     "*1\r\n:1\r\n",
		"LF for CR LF after a count":       "*1\n$4\r\nPING\r\n",
		"LF for CR LF after a length":      "*1\r\n$4\nPING\r\n",
		"CR within a count":                "*1\r2\r\n",
		"another end of an argument":       "*1\r\n$4\r\nPINGxx",
		"a count without end":              "*" + strings.Repeat("1", 40),
		"a quote that is not closed":       "SET k \"a\r\n",
		"a quote without a space after it": "SET k \"a\"b\r\n",
		"a NUL in a line":                  "PING\x00\r\n",
		"a CR in a line":                   "PING\rPING\r\n",
		"a line without end":               strings.Repeat("x", resp.MaxInline),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, _, err := parse([]byte(data), resp.DefaultLimits); !errors.Is(err, resp.ErrProtocol) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// every length field, at its limits.
func TestLimitsOfCommands(t *testing.T) {
	t.Parallel()
	limits := resp.Limits{Arguments: 10, Bytes: 1000}
	for name, c := range map[string]struct {
		data string
		fits bool
	}{
		"as many arguments as allowed": {"*10\r\n", true},
		"one more":                     {"*11\r\n", false},
		"2^31":                         {"*2147483648\r\n", false},
		"as long as allowed":           {"*1\r\n$988\r\n", true}, // 4 + 6 + 988 + 2
		"one byte longer":              {"*1\r\n$989\r\n", false},
		"2^31 bytes":                   {"*1\r\n$2147483648\r\n", false},
		"almost 2^63 bytes":            {"*1\r\n$9223372036854775000\r\n", false},
		"the most that is a number":    {"*1\r\n$9223372036854775799\r\n", false},
		"which another one begins":     {"*2\r\n$1\r\nx\r\n$9223372036854775790\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := parse([]byte(c.data), limits)
			if _, large := errors.AsType[*resp.TooLarge](err); large == c.fits || !large && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCommandsInPieces(t *testing.T) {
	t.Parallel()
	data := resp.AppendCommand(nil, "SET", "key", strings.Repeat("v", 100))
	var p resp.Parser
	for n := range data {
		if size, _, err := p.Parse(slices.Clone(data[:n]), resp.DefaultLimits); size != 0 || err != nil {
			t.Fatalf("after %d bytes: %d, %v", n, size, err)
		}
	}
	if size, _, err := p.Parse(data, resp.DefaultLimits); size != len(data) || err != nil || len(p.Args) != 3 {
		t.Fatalf("%d, %v, %q", size, err, p.Args)
	}
}

// scan reads all replies of data, given in pieces.
func scan(data []byte, piece int) (replies []string, err error) {
	var s resp.Scanner
	var failures []string
	s.Element = func(place int64, element *resp.Reply, size int64) {
		if element.Text != nil {
			failures = append(failures, fmt.Sprintf(" [%d]%s", place, element.Text))
		}
	}
	start := 0
	for end := 0; end < len(data); {
		end = min(end+piece, len(data))
		for start < end {
			n, r, err := s.Scan(data[start:end])
			if err != nil {
				return replies, err
			}
			if start += n; r == nil {
				break
			}
			replies = append(replies, fmt.Sprintf("%c %d %t %q %q %d%s", r.Type, r.Count, r.Null, r.Text, r.Head, r.Last, strings.Join(failures, "")))
			failures = nil
		}
	}
	if s.Mid() || start < len(data) {
		replies = append(replies, "…")
	}
	return replies, nil
}

func TestReplies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data string
		want string
	}{
		"a status":                {"+OK\r\n", `+ 0 false "OK" "" 0`},
		"an error":                {"-ERR no\r\n", `- 0 false "ERR no" "" 0`},
		"a number":                {":-12\r\n", `: 0 false "-12" "" 0`},
		"a string":                {"$3\r\na\r\n\r\n", `$ 0 false "" "" 0`},
		"no string":               {"$-1\r\n", `$ 0 true "" "" 0`},
		"no array":                {"*-1\r\n", `* 0 true "" "" 0`},
		"null":                    {"_\r\n", `_ 0 true "" "" 0`},
		"nothing in an array":     {"*0\r\n", `* 0 false "" "" 0`},
		"null in an array":        {"*2\r\n$-1\r\n*-1\r\n", `* 2 false "" "" 0`},
		"arrays in arrays":        {"*2\r\n*2\r\n*1\r\n:1\r\n:2\r\n*0\r\n", `* 2 false "" "" 0`},
		"errors among elements":   {"*4\r\n+OK\r\n-ERR a\r\n*2\r\n-ERR hidden\r\n:1\r\n-ERR b\r\n", `* 4 false "" "OK" 0 [1]ERR a [3]ERR b`},
		"a map":                   {"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n", `% 2 false "" "a" 0`},
		"a set":                   {"~2\r\n:1\r\n:2\r\n", `~ 2 false "" "" 2`},
		"a confirmation":          {">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", `> 3 false "" "subscribe" 1`},
		"a verbatim string":       {"=6\r\ntxt:ab\r\n", `= 0 false "" "" 0`},
		"a long error":            {"!6\r\nERR no\r\n", `! 0 false "ERR no" "" 0`},
		"others":                  {"#t\r\n,1.5\r\n(123456789012345678901234567890\r\n", "# 0 false \"t\" \"\" 0\n, 0 false \"1.5\" \"\" 0\n( 0 false \"123456789012345678901234567890\" \"\" 0"},
		"messages amid an answer": {"*2\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$-1\r\n:1\r\n>2\r\n+a\r\n*2\r\n:1\r\n_\r\n:2\r\n+OK\r\n", "* 2 false \"\" \"\" 2\n+ 0 false \"OK\" \"\" 0"},
		"an unfinished one":       {"*2\r\n:1\r\n", "…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for piece := 1; piece <= len(c.data); piece++ {
				got, err := scan([]byte(c.data), piece)
				if err != nil || strings.Join(got, "\n") != c.want {
					t.Fatalf("in pieces of %d: got %s, %v", piece, strings.Join(got, "\n"), err)
				}
			}
		})
	}
}

// What is told of each element of a reply, in whatever pieces that arrives.
func TestElements(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ data, want string }{
		"lines":             {"*3\r\n+OK\r\n:1\r\n-ERR a\r\n", `0: + 0 false "" 5, 1: : 0 false "" 4, 2: - 0 false "ERR a" 8`},
		"strings":           {"*3\r\n$3\r\nabc\r\n$-1\r\n$0\r\n\r\n", `0: $ 0 false "" 9, 1: $ 0 true "" 5, 2: $ 0 false "" 6`},
		"arrays":            {"*3\r\n*2\r\n:1\r\n$1\r\na\r\n*0\r\n*-1\r\n", `0: * 2 false "" 15, 1: * 0 false "" 4, 2: * 0 true "" 5`},
		"arrays in arrays":  {"*2\r\n*2\r\n*1\r\n$-1\r\n*1\r\n*-1\r\n:1\r\n", `0: * 2 false "" 22, 1: : 0 false "" 4`},
		"maps and sets":     {"*2\r\n%2\r\n+a\r\n:1\r\n+b\r\n_\r\n~1\r\n:1\r\n", `0: % 2 false "" 19, 1: ~ 1 false "" 8`},
		"null of version 3": {"*1\r\n_\r\n", `0: _ 0 true "" 3`},
		"long errors":       {"*1\r\n!6\r\nERR no\r\n", `0: ! 0 false "an error" 12`},
		"beside messages":   {"*2\r\n>2\r\n+m\r\n$2\r\nab\r\n*2\r\n:1\r\n>1\r\n-ERR a\r\n:2\r\n>1\r\n*0\r\n:3\r\n", `0: * 2 false "" 12, 1: : 0 false "" 4`},
		"none of a push":    {">2\r\n+a\r\n+b\r\n", ""},
		"none of a string":  {"$2\r\nab\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for piece := 1; piece <= len(c.data); piece++ {
				var got []string
				s := resp.Scanner{Element: func(place int64, e *resp.Reply, size int64) {
					got = append(got, fmt.Sprintf("%d: %c %d %t %q %d", place, e.Type, e.Count, e.Null, e.Text, size))
				}}
				for start, end := 0, 0; end < len(c.data); {
					end = min(end+piece, len(c.data))
					n, _, err := s.Scan([]byte(c.data[start:end]))
					if err != nil {
						t.Fatal(err)
					}
					start += n
				}
				if strings.Join(got, ", ") != c.want {
					t.Fatalf("in pieces of %d: got %s", piece, strings.Join(got, ", "))
				}
			}
		})
	}
}

func TestMalformedReplies(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"an unknown type":            "@1\r\n",
		"attributes":                 "|1\r\n+a\r\n:1\r\n+OK\r\n",
		"a streamed string":          "$?\r\n",
		"a string of less than -1":   "$-2\r\n",
		"an array of less than -1":   "*-2\r\n",
		"a map of less than nothing": "%-1\r\n",
		"more than there can be":     "*9223372036854775807\r\n",
		"as many in a map":           "%4611686018427387904\r\n",
		"a string without its end":   "$2\r\nabc\r\n",
		"LF alone":                   "+OK\n",
		"a string with another end":  "$2\r\nabcd",
		"too many in one another":    "*1099511627776\r\n*1099511627776\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := scan([]byte(data), len(data)); !errors.Is(err, resp.ErrProtocol) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	data := []byte("%2\r\n$7\r\nversion\r\n$5\r\n7.0.1\r\n+proto\r\n:3\r\n")
	v, size, err := resp.Decode(data)
	if err != nil || size != len(data) {
		t.Fatalf("%d, %v", size, err)
	}
	if version, ok := v.Find("version"); !ok || version.Text != "7.0.1" {
		t.Errorf("%+v", v)
	}
	deep := []byte(strings.Repeat("*1\r\n", 40) + ":1\r\n")
	if _, _, err := resp.Decode(deep); !errors.Is(err, resp.ErrProtocol) {
		t.Errorf("40 levels: %v", err)
	}
	if _, size, err := resp.Decode(data[:len(data)-1]); size != 0 || err != nil {
		t.Errorf("incomplete: %d, %v", size, err)
	}
}

// FuzzCommands checks that what is read in pieces is what is read at once, and that commands survive being written.
func FuzzCommands(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n"), 3)
	f.Add([]byte("*1\r\n$9223372036854775799\r\n"), 1)
	f.Add([]byte("SET k \"\\x41\" 'a b'\r\n*0\r\n"), 1)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		limits := resp.Limits{Arguments: 1000, Bytes: 4000}
		whole, _, wholeErr := parse(data, limits)
		if piece < 1 || piece > len(data) {
			return
		}
		var p resp.Parser
		var pieces []string
		var err error
		start := 0
		for end := piece; end <= len(data) && err == nil; end++ {
			for {
				var size int
				if size, _, err = p.Parse(data[start:end], limits); err != nil || size == 0 {
					break
				}
				if start += size; len(p.Args) > 0 {
					pieces = append(pieces, show(p.Args))
					again := resp.AppendCommand(nil, p.Args...)
					var q resp.Parser
					if n, _, err := q.Parse(again, resp.DefaultLimits); err != nil || n != len(again) || show(q.Args) != show(p.Args) {
						t.Fatalf("%q came back as %q, %v", p.Args, q.Args, err)
					}
				}
			}
		}
		if !slices.Equal(whole, pieces) || (wholeErr == nil) != (err == nil) {
			t.Fatalf("at once %q, %v; in pieces %q, %v", whole, wholeErr, pieces, err)
		}
	})
}

// FuzzReplies checks that scanning does not depend on pieces, and agrees with decoding.
func FuzzReplies(f *testing.F) {
	f.Add([]byte("*2\r\n$1\r\na\r\n%1\r\n+k\r\n-ERR x\r\n"))
	f.Add([]byte(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$0\r\n\r\n_\r\n"))
	f.Add([]byte("*2\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$-1\r\n:1\r\n>1\r\n*1\r\n_\r\n:2\r\n+OK\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > 1<<12 {
			return
		}
		whole, wholeErr := scan(data, len(data))
		pieces, err := scan(data, 1)
		if !slices.Equal(whole, pieces) || (wholeErr == nil) != (err == nil) {
			t.Fatalf("at once %q, %v; byte by byte %q, %v", whole, wholeErr, pieces, err)
		}
		var s resp.Scanner
		if v, size, err := resp.Decode(data); err == nil && size > 0 {
			n, r, err := s.Scan(data)
			if err != nil || r == nil || n != size || r.Type != v.Type || r.Null != v.Null {
				t.Fatalf("decoded %+v of %d bytes, scanned %+v of %d, %v", v, size, r, n, err)
			}
			if v.IsError() && !bytes.HasPrefix([]byte(v.Text), r.Text) {
				t.Fatalf("error %q, %q", v.Text, r.Text)
			}
		}
	})
}
