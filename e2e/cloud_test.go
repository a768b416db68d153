//go:build linux

package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// cloud starts a local AWS in a network of its own where it has AWS's names; hosts that are made afterwards are in
// there: cloud WORLD-FILE. Its control socket must be at "control".
func (s *story) cloud(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: cloud WORLD-FILE")
	}
	s.run(ts, false, []string{"cloud", "fakeaws", "run", args[0], "sh", "-c", "echo inside $$; read -r _"})
	s.hear(ts, false, []string{"cloud", `^inside (\d+)$`})
	ts.Setenv("CLOUD", ts.Getenv("HEARD"))
}

// dialIn connects from within a network namespace, or from here if there is none. The address is a number.
func dialIn(ctx context.Context, namespace, network, address string) (net.Conn, error) {
	if namespace == "" {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	var conn net.Conn
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with this function, and its namespace with it
		var file *os.File
		if file, err = os.Open(namespace); err != nil {
			return
		}
		defer file.Close()
		if err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err == nil {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
		}
	}()
	<-done
	return conn, err
}

// secrets searches every secret that the local AWS has issued or been shown, and those that the story keeps, whole or in
// parts, in the files under some folders but for the homes of the kept ones, in what the programs of this story have
// printed, and in the arguments and variables of those that run: secrets FOLDER... Anything found fails the story.
func (s *story) secrets(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: secrets FOLDER...")
	}
	all := s.kept.all()
	if ts.Getenv("CLOUD") != "" {
		all = append(all, issuedSecrets(ts)...)
	}
	finder := newLeakFinder(all)
	searched := 0
	search := func(finder *leakFinder, where string, text []byte) {
		searched++
		if leaked := finder.find(text); leaked != "" {
			ts.Fatalf("a secret is in %s: %.6q…, one of %d", where, leaked, len(all))
		}
	}
	for name, p := range s.processes {
		search(finder, "the output of "+name, []byte(p.output.String()))
		for what, text := range shownOf(ts, p) {
			search(finder, what+" of "+name, text)
		}
	}
	for _, dir := range args {
		root := ts.MkAbs(dir)
		tools := filepath.Join(root, ts.Getenv("TOOLS"))
		ts.Check(filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) { // what runs there removes files meanwhile
				return nil
			}
			if err != nil {
				return err
			}
			if path != root && entry.IsDir() && slices.Contains([]string{"bin", "dev", "lib", "lib64", "opt", "proc", "sbin", "sys", "usr"}, entry.Name()) && filepath.Dir(path) == root {
				return fs.SkipDir
			}
			if path == tools && path != root {
				return fs.SkipDir
			}
			if !entry.Type().IsRegular() {
				return nil
			}
			text, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if atHome := s.kept[path]; len(atHome) > 0 {
				search(newLeakFinder(slices.DeleteFunc(slices.Clone(all), func(secret string) bool { return slices.Contains(atHome, secret) })), path, text)
			} else {
				search(finder, path, text)
			}
			return nil
		}))
	}
	fmt.Fprintf(ts.Stdout(), "%d secrets, %d files and outputs\n", len(all), searched)
}

// biteSize is how much of a secret is looked for: databases and logs may cut what they hold.
const biteSize = 24

// shortSecret is how long a secret is at least that does not turn up by chance.
const shortSecret = 8

// leakFinder looks for secrets, as they are and in the forms in which programs write text.
type leakFinder struct {
	bites map[string]string // the secret, by parts of its forms
	whole map[string]string // likewise by whole forms, where parts would be no secret
}

func newLeakFinder(secrets []string) *leakFinder {
	f := &leakFinder{bites: map[string]string{}, whole: map[string]string{}}
	for _, secret := range secrets {
		forms := []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret))}
		if utf8.ValidString(secret) {
			quoted, _ := json.Marshal(secret) // strings always encode
			forms = append(forms, strings.Trim(string(quoted), `"`))
		}
		if len(secret) < shortSecret { // it may be there by chance, but not as a word of its own
			forms = []string{`"` + secret + `"`, "=" + secret + "\n", "=" + secret + " ", "=" + secret + "&", "code " + secret, ": " + secret + "\n"}
		}
		for _, form := range forms {
			if len(form) < biteSize || strings.Contains(secret, "Action=connect") { // a token names its database and user; its signature is a secret of its own
				f.whole[form] = secret
				continue
			}
			for at := range len(form) - biteSize + 1 {
				f.bites[form[at:at+biteSize]] = secret
			}
		}
	}
	return f
}

// find returns a secret that the text holds, or "".
func (f *leakFinder) find(text []byte) string {
	for at := 0; at+biteSize <= len(text); at++ {
		if secret, found := f.bites[string(text[at:at+biteSize])]; found {
			return secret
		}
	}
	for form, secret := range f.whole {
		if bytes.Contains(text, []byte(form)) {
			return secret
		}
	}
	return ""
}

func TestLeaksAreFound(t *testing.T) {
	t.Parallel()
	const key, session = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjELD//////////wEaCXVzLWVhc3QtMSJIMEYCIQDYnzUxXn12345678901234567890=="
	const token = "orders.abcdefghijkl.us-west-1.rds.amazonaws.com:5432?Action=connect&DBUser=alice&X-Amz-Signature=1"
	const code = "123456"
	finder := newLeakFinder([]string{key, session, token, code})
	for text, want := range map[string]string{
		"nothing at all of orders.abcdefghijkl.us-west-1.rds.amazonaws.com:5432": "",
		"key=" + key + " and more":                                        key,
		"part " + session[40:70]:                                          session,
		"session=" + url.QueryEscape(session):                             session,
		base64.StdEncoding.EncodeToString([]byte(key)):                    key,
		`{"password":"` + strings.ReplaceAll(token, "&", `\u0026`) + `"}`: token,
		hex.EncodeToString([]byte(session)):                               session,
		`{"code":"` + code + `"}`:                                         code,
		`{"duration_us":` + code + `}`:                                    "",
	} {
		if got := finder.find([]byte(text)); got != want {
			t.Errorf("in %q: %q", text, got)
		}
	}
}

func issuedSecrets(ts *testscript.TestScript) []string {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", ts.MkAbs("control"))
	}, DisableKeepAlives: true}}
	answer, err := client.Get("http://control/secrets")
	ts.Check(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	ts.Check(err)
	var issued []string
	ts.Check(json.Unmarshal(text, &issued))
	issued = slices.DeleteFunc(issued, func(secret string) bool { return len(secret) < 16 }) // too short to be told from chance
	if len(issued) == 0 {
		ts.Fatalf("the local AWS has issued no secret: %s", strconv.Quote(string(text)))
	}
	return issued
}
