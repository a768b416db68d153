//go:build linux

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
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

// secrets searches every secret that the local AWS has issued in the files under some folders and in what the programs of
// this story have printed: secrets FOLDER... Anything found fails the story.
func (s *story) secrets(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: secrets FOLDER...")
	}
	issued := issuedSecrets(ts)
	searched := 0
	search := func(where string, text []byte) {
		searched++
		for number, secret := range issued {
			if bytes.Contains(text, []byte(secret)) || bytes.Contains(text, []byte(url.QueryEscape(secret))) {
				ts.Fatalf("secret %d of %d is in %s", number, len(issued), where)
			}
		}
	}
	for name, p := range s.processes {
		search("the output of "+name, []byte(p.output.String()))
	}
	for _, dir := range args {
		root := ts.MkAbs(dir)
		ts.Check(filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if path != root && entry.IsDir() && slices.Contains([]string{"bin", "dev", "lib", "lib64", "opt", "proc", "sbin", "sys", "usr"}, entry.Name()) && filepath.Dir(path) == root {
				return fs.SkipDir
			}
			if !entry.Type().IsRegular() {
				return nil
			}
			text, err := os.ReadFile(path)
			if err == nil {
				search(path, text)
			}
			return err
		}))
	}
	fmt.Fprintf(ts.Stdout(), "%d secrets, %d files and outputs\n", len(issued), searched)
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
