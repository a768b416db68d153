package fakeawstest

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"sallyport/internal/aws/fakeaws"
)

const verifyWord = "verify-for-pam"

// VerifyCommand is the test's own program as "fakeaws verify", for servers that ask through PAM, with a verifier to ask.
// The package's TestMain must call Main.
func VerifyCommand(t testing.TB, w *fakeaws.World) []string {
	t.Helper()
	dir, err := os.MkdirTemp("", "verify-") // a short path, because those of sockets have at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "v")
	verifier, err := w.ListenVerifier(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- verifier.Serve(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{program, verifyWord, "--socket", socket}
}

// Main runs the tests of a package, or, where PAM has started this program, asks a verifier about one login.
func Main(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == verifyWord {
		os.Exit(verify(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func verify(args []string) (code int) {
	flags := flag.NewFlagSet(verifyWord, flag.ContinueOnError)
	socket := flags.String("socket", "", "")
	login := fakeaws.Login{User: os.Getenv("PAM_USER"), Token: os.Getenv("PAM_AUTHTOK")}
	flags.StringVar(&login.Service, "service", "", "")
	flags.StringVar(&login.Host, "host", "", "")
	if flags.Parse(args) != nil {
		return 2
	}
	verdict, err := fakeaws.AskVerifier(context.Background(), *socket, login)
	if err != nil || !verdict.Allow {
		return 1
	}
	return 0
}
