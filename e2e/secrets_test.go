//go:build linux

package e2e_test

import (
	"crypto/ecdsa"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/internal/ca"
)

// keptSecrets are secrets by the files that may hold them; under no name, those that no file may hold.
type keptSecrets map[string][]string

func (k keptSecrets) all() (secrets []string) {
	for _, here := range k {
		secrets = append(secrets, here...)
	}
	slices.Sort(secrets)
	return slices.Compact(secrets)
}

// keep remembers a secret for the command secrets, and the files that may hold it, which must be for their owner only:
// keep =TEXT [HOME...] for a text, keep FILE [HOME...] for the private key in a file.
func (s *story) keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || args[0] == "=" {
		ts.Fatalf("usage: keep =TEXT|FILE [HOME...]")
	}
	secret, isText := strings.CutPrefix(args[0], "=")
	homes := args[1:]
	if !isText {
		homes = args
		secret = privateKey(ts, args[0])
	}
	if len(homes) == 0 {
		s.kept[""] = append(s.kept[""], secret)
	}
	for _, home := range homes {
		path := ts.MkAbs(home)
		info, err := os.Stat(path)
		ts.Check(err)
		if info.Mode().Perm()&0o077 != 0 {
			ts.Fatalf("%s holds a secret and has the mode %s", home, info.Mode())
		}
		s.kept[path] = append(s.kept[path], secret)
	}
}

// privateKey returns what is secret of the key in a file, PEM, alone or as a string of JSON: the rest of a key's encoding
// is the same for all keys, or public.
func privateKey(ts *testscript.TestScript, file string) string {
	text := strings.ReplaceAll(ts.ReadFile(file), `\n`, "\n")
	at := strings.Index(text, "-----BEGIN PRIVATE KEY-----")
	if at < 0 {
		ts.Fatalf("%s holds no private key", file)
	}
	key, err := ca.ParseKey([]byte(text[at:]))
	ts.Check(err)
	elliptic, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		ts.Fatalf("%s holds a %T", file, key)
	}
	secret, err := elliptic.Bytes()
	ts.Check(err)
	return string(secret)
}

// shownOf returns what everybody on the host, or its owner, can see of a program that runs and of its children: their
// arguments and variables (proc(5)).
func shownOf(ts *testscript.TestScript, p *process) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		if p.ended() {
			return
		}
		children := childrenOf(ts)
		for family := []int{p.cmd.Process.Pid}; len(family) > 0; family = family[1:] {
			family = append(family, children[family[0]]...)
			for _, part := range []string{"cmdline", "environ"} {
				text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(family[0]), part))
				if err == nil && !yield(part, text) { // else it has ended
					return
				}
			}
		}
	}
}

// childrenOf returns the processes of this host by their parents.
func childrenOf(ts *testscript.TestScript) map[int][]int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	ts.Check(err)
	children := map[int][]int{}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil { // it has ended
			continue
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])) // the name may hold anything
		parent, parentErr := strconv.Atoi(fields[1])
		pid, pidErr := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if parentErr == nil && pidErr == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	return children
}
