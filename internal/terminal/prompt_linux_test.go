package terminal_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/terminal"
)

// pseudoTerminal returns both ends of a new terminal: what a person types and sees, and what a program has.
func pseudoTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func TestSecretsAreNotShownOnATerminal(t *testing.T) {
	t.Parallel()
	person, program := pseudoTerminal(t)
	type result struct {
		answer string
		err    error
	}
	done := make(chan result, 1)
	go func() {
		answer, err := terminal.NewPrompt(program, question{t, program}).Secret(t.Context(), "Password:")
		done <- result{answer, err}
	}()
	seen := bufio.NewReader(person)
	shown, err := seen.ReadString(':')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := person.WriteString("s3cret\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.err != nil || got.answer != "s3cret" {
		t.Errorf("answer is %q, %v", got.answer, got.err)
	}
	rest := make([]byte, seen.Buffered()+64)
	n, err := seen.Read(rest)
	if err != nil {
		t.Fatal(err)
	}
	if all := append([]byte(shown), rest[:n]...); bytes.Contains(all, []byte("s3cret")) {
		t.Errorf("the terminal showed %q", all)
	}
	if !shows(t, program) {
		t.Error("what is typed afterwards is not shown")
	}
}

// question is where a question is shown: people type as soon as they see it.
type question struct {
	t       *testing.T
	program *os.File
}

func (q question) Write(text []byte) (int, error) {
	if bytes.Contains(text, []byte("Password:")) && shows(q.t, q.program) {
		q.t.Error("what is typed at once is shown")
	}
	return q.program.Write(text)
}

// shows reports whether the terminal shows what is typed.
func shows(t *testing.T, program *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func TestErrorsAreRedOnATerminalOnly(t *testing.T) {
	person, program := pseudoTerminal(t)
	t.Setenv("NO_COLOR", "")
	terminal.WriteError(program, os.ErrNotExist)
	line, err := bufio.NewReader(person).ReadString('\n')
	if err != nil || line != "\x1b[31mERROR:\x1b[0m file does not exist\r\n" {
		t.Errorf("printed %q, %v", line, err)
	}
}
