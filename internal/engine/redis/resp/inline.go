package resp

import "bytes"

// splitLine splits a line as the server does (sdssplitargs of its sds.c): at spaces, with "…" and '…' around what has
// spaces, and escapes within "…". It refuses lines in which the server would see another end.
func splitLine(args [][]byte, line []byte) ([][]byte, error) {
	if bytes.IndexByte(line, 0) >= 0 || bytes.IndexByte(line, '\r') >= 0 {
		return args, malformed("a line with a NUL or CR")
	}
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return args, nil
		}
		var arg []byte
		var err error
		if arg, i, err = word(line, i); err != nil {
			return args, err
		}
		args = append(args, arg)
	}
}

// isSpace is isspace of C in the locale "C".
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// word reads the argument that begins at i, and returns where it ends.
func word(line []byte, i int) (arg []byte, end int, err error) {
	arg = []byte{}
	for i < len(line) && !isSpace(line[i]) {
		c := line[i]
		i++
		if c != '"' && c != '\'' {
			arg = append(arg, c)
			continue
		}
		if arg, i, err = quoted(arg, line, i, c); err != nil {
			return nil, 0, err
		}
		if i < len(line) && !isSpace(line[i]) {
			return nil, 0, malformed("a closing quote that is not followed by a space")
		}
	}
	return arg, i, nil
}

// quoted reads what follows an opening quote.
func quoted(arg, line []byte, i int, quote byte) ([]byte, int, error) {
	for i < len(line) {
		c := line[i]
		rest := line[i+1:]
		switch {
		case c == quote:
			return arg, i + 1, nil
		case c == '\\' && quote == '\'' && len(rest) > 0 && rest[0] == '\'':
			arg = append(arg, '\'')
			i += 2
		case c == '\\' && quote == '"' && len(rest) >= 3 && rest[0] == 'x' && isHex(rest[1]) && isHex(rest[2]):
			arg = append(arg, fromHex(rest[1])<<4|fromHex(rest[2]))
			i += 4
		case c == '\\' && quote == '"' && len(rest) > 0:
			arg = append(arg, unescaped(rest[0]))
			i += 2
		default:
			arg = append(arg, c)
			i++
		}
	}
	return nil, 0, malformed("a quote that is not closed")
}

func unescaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	default:
		return c
	}
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

func fromHex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
