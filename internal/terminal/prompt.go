package terminal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/term"

	"sallyport/internal/fault"
)

// Prompt asks questions. Answers are lines of its input; one Prompt must be used for all questions to
// the same input.
type Prompt struct {
	in    io.Reader
	lines *bufio.Reader
	out   io.Writer
}

// NewPrompt returns a Prompt that prints questions to out and reads answers from in.
func NewPrompt(in io.Reader, out io.Writer) *Prompt {
	return &Prompt{in: in, lines: bufio.NewReader(in), out: out}
}

// Secret asks for something that must not be seen: on a terminal, what is typed is not shown.
func (p *Prompt) Secret(question string) (string, error) {
	file, ok := p.in.(*os.File)
	if !ok || !isTerminal(file) {
		fmt.Fprint(p.out, question+" ")
		answer, err := p.line()
		fmt.Fprintln(p.out)
		return answer, err
	}
	answer, err := readHidden(file, func() { fmt.Fprint(p.out, question+" ") })
	fmt.Fprintln(p.out)
	if err != nil {
		return "", noAnswer(err)
	}
	return string(answer), nil
}

// readHidden reads a line that the terminal does not show, from before it is asked for. Ctrl-C ends it, leaves
// the terminal as it was, and leaves the reading behind: the process is about to end.
func readHidden(file *os.File, ask func()) (answer []byte, err error) {
	before, err := term.GetState(int(file.Fd()))
	if err != nil {
		return nil, err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	defer signal.Stop(interrupted)
	defer func() { err = errors.Join(err, term.Restore(int(file.Fd()), before)) }()
	if err := hide(file); err != nil {
		return nil, err
	}
	ask()
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(int(file.Fd()))
		read <- line{text, err}
	}()
	select {
	case got := <-read:
		return got.text, got.err
	case <-interrupted:
		return nil, errors.New("interrupted")
	}
}

func (p *Prompt) line() (string, error) {
	text, err := p.lines.ReadString('\n')
	if err != nil && (text == "" || !errors.Is(err, io.EOF)) {
		return "", noAnswer(err)
	}
	return strings.TrimRight(text, "\r\n"), nil
}

func noAnswer(err error) error {
	return fault.Wrap(fault.BadParameter, err, "the question was not answered, so nothing was done")
}

// Confirm asks a question whose answer is yes or no; anything but y and yes means no. The end of the
// input is an error. What is printed next begins a line of its own.
func Confirm(in io.Reader, out io.Writer, question string) (bool, error) {
	fmt.Fprint(out, question+" [y/N]: ")
	answer, err := NewPrompt(in, out).line()
	if err != nil || !isTerminal(in) { // on a terminal, Enter was shown
		fmt.Fprintln(out)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, err
	default:
		return false, err
	}
}
