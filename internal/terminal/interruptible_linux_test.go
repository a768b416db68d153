package terminal_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

// asker is where a question is shown: it tells when that has happened.
type asker struct {
	io.Writer
	asked chan<- struct{}
}

func (a asker) Write(text []byte) (int, error) {
	select {
	case a.asked <- struct{}{}:
	default: // the line after the question
	}
	return a.Writer.Write(text)
}

// questions are the ways to ask one, each with what it makes of the answer yes.
var questions = map[string]func(ctx context.Context, in io.Reader, out io.Writer) (string, error){
	"yes or no": func(ctx context.Context, in io.Reader, out io.Writer) (string, error) {
		yes, err := terminal.Confirm(ctx, in, out, "Overwrite?")
		return map[bool]string{true: "yes"}[yes], err
	},
	"secret": func(ctx context.Context, in io.Reader, out io.Writer) (string, error) {
		return terminal.NewPrompt(in, out).Secret(ctx, "Password:")
	},
	"everything": func(ctx context.Context, in io.Reader, out io.Writer) (string, error) {
		_, _ = out.Write(nil)
		text, err := io.ReadAll(terminal.Interruptible(ctx, in))
		return string(text), err
	},
}

// TestTheEndOfTheContextEndsAQuestion and leaves to others what is typed later, and a terminal that shows it.
func TestTheEndOfTheContextEndsAQuestion(t *testing.T) {
	t.Parallel()
	for name, ask := range questions {
		t.Run(name+" on a terminal", func(t *testing.T) {
			t.Parallel()
			person, program := pseudoTerminal(t)
			endsWithTheContext(t, ask, person, program)
			if !shows(t, program) {
				t.Error("what is typed afterwards is not shown")
			}
		})
		t.Run(name+" on a pipe", func(t *testing.T) {
			t.Parallel()
			program, person, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { program.Close(); person.Close() })
			endsWithTheContext(t, ask, person, program)
		})
	}
}

func endsWithTheContext(t *testing.T, ask func(context.Context, io.Reader, io.Writer) (string, error), person, program *os.File) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	asked, done := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		_, err := ask(ctx, program, asker{io.Discard, asked})
		done <- err
	}()
	<-asked
	end()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v, want the context's error", err)
	}
	if _, err := person.WriteString("later\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(program).ReadString('\n'); err != nil || line != "later\n" {
		t.Errorf("the next one reads %q, %v", line, err)
	}
}

// TestHalfASecretIsForgotten that was typed before the question ended: the shell would show it otherwise.
func TestHalfASecretIsForgotten(t *testing.T) {
	t.Parallel()
	person, program := pseudoTerminal(t)
	ctx, end := context.WithCancel(t.Context())
	asked, done := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		_, err := terminal.NewPrompt(program, asker{io.Discard, asked}).Secret(ctx, "Password:")
		done <- err
	}()
	<-asked
	// The terminal tells, in packet mode (ioctl_tty(2)), when it has come to ^S and ^Q, and so to what was typed before.
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCPKT, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := person.WriteString("s3cr\x13\x11"); err != nil {
		t.Fatal(err)
	}
	for packet := []byte{0}; packet[0] != unix.TIOCPKT_START; {
		if _, err := person.Read(packet); err != nil {
			t.Fatal(err)
		}
	}
	end()
	<-done
	if _, err := person.WriteString("ls\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(program).ReadString('\n'); err != nil || line != "ls\n" {
		t.Errorf("the shell reads %q, %v", line, err)
	}
}

// TestTheEndOfTheInputEndsAQuestion that is asked on a terminal: people type ^D.
func TestTheEndOfTheInputEndsAQuestion(t *testing.T) {
	t.Parallel()
	for name, ask := range questions {
		if name == "everything" {
			continue // no question: the end is its answer
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			person, program := pseudoTerminal(t)
			asked, done := make(chan struct{}, 1), make(chan error, 1)
			go func() {
				_, err := ask(t.Context(), program, asker{io.Discard, asked})
				done <- err
			}()
			<-asked
			if _, err := person.Write([]byte{0x04}); err != nil {
				t.Fatal(err)
			}
			if err := <-done; !fault.Is(err, fault.BadParameter) || !errors.Is(err, io.EOF) {
				t.Errorf("ended with %v", err)
			}
			if !shows(t, program) {
				t.Error("what is typed afterwards is not shown")
			}
		})
	}
}

// TestAnAnswerTakesItsLineOnly and leaves the rest of a pipe to who asks next.
func TestAnAnswerTakesItsLineOnly(t *testing.T) {
	t.Parallel()
	program, person, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if _, err := person.WriteString("yes\nyes\nthe rest"); err != nil {
		t.Fatal(err)
	}
	person.Close()
	for _, name := range []string{"yes or no", "secret"} {
		if got, err := questions[name](t.Context(), program, io.Discard); err != nil || got != "yes" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if rest, err := io.ReadAll(program); err != nil || string(rest) != "the rest" {
		t.Errorf("left are %q, %v", rest, err)
	}
}

// TestHiddenAnswersAreLines whatever the program before has made of the terminal.
func TestHiddenAnswersAreLines(t *testing.T) {
	t.Parallel()
	person, program := pseudoTerminal(t)
	raw, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	raw.Lflag &^= unix.ICANON
	raw.Iflag &^= unix.ICRNL
	if err := unix.IoctlSetTermios(int(program.Fd()), unix.TCSETS, raw); err != nil {
		t.Fatal(err)
	}
	asked, done := make(chan struct{}, 1), make(chan string, 1)
	go func() {
		answer, err := terminal.NewPrompt(program, asker{io.Discard, asked}).Secret(t.Context(), "Password:")
		if err != nil {
			t.Error(err)
		}
		done <- answer
	}()
	<-asked
	if _, err := person.WriteString("s3x\x7fcret\r"); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got != "s3cret" {
		t.Errorf("the answer is %q", got)
	}
	after, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
	if err != nil || *after != *raw {
		t.Errorf("the terminal is left as %+v, %v, not as %+v", after, err, raw)
	}
}
