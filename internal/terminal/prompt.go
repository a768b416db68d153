package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"sallyport/internal/fault"
)

// Prompt asks questions. Answers are lines of its input, of which nothing is read beyond the answer: what follows is left to
// whoever reads next.
type Prompt struct {
	in  io.Reader
	out io.Writer
}

// NewPrompt returns a Prompt that prints questions to out and reads answers from in.
func NewPrompt(in io.Reader, out io.Writer) *Prompt { return &Prompt{in, out} }

// Secret asks for something that must not be seen: on a terminal, what is typed is not shown. The end of the context ends
// the question, as Interruptible says.
func (p *Prompt) Secret(ctx context.Context, question string) (string, error) {
	ask := func() { fmt.Fprint(p.out, question+" ") }
	defer fmt.Fprintln(p.out)
	if file, ok := p.in.(*os.File); ok && isTerminal(file) {
		return answer(ctx, func() (string, error) { return readHidden(ctx, file, ask) })
	}
	ask()
	return p.line(ctx)
}

func (p *Prompt) line(ctx context.Context) (string, error) {
	return answer(ctx, func() (string, error) { return readLine(Interruptible(ctx, p.in)) })
}

// answer returns what is read, or an error for people that says what follows from there being no answer.
func answer(ctx context.Context, read func() (string, error)) (string, error) {
	if ctx.Err() != nil {
		return "", noAnswer(ctx.Err())
	}
	text, err := read()
	if err != nil {
		return "", noAnswer(err)
	}
	return text, nil
}

func noAnswer(err error) error {
	return fault.Wrap(fault.BadParameter, err, "the question was not answered, so nothing was done")
}

// readLine reads a line, byte by byte, so that nothing behind it is taken. The last one need not be complete.
func readLine(from io.Reader) (string, error) {
	var line []byte
	for one := make([]byte, 1); ; {
		n, err := from.Read(one)
		switch {
		case n == 1 && one[0] == '\n', errors.Is(err, io.EOF) && len(line)+n > 0:
			return strings.TrimRight(string(append(line, one[:n]...)), "\r\n"), nil
		case err != nil:
			return "", err
		}
		line = append(line, one[:n]...)
	}
}

// Confirm asks a question whose answer is yes or no; anything but y and yes means no. The end of the input is an error, and so is
// the end of the context. What is printed next begins a line of its own.
func Confirm(ctx context.Context, in io.Reader, out io.Writer, question string) (bool, error) {
	fmt.Fprint(out, question+" [y/N]: ")
	answer, err := NewPrompt(in, out).line(ctx)
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
