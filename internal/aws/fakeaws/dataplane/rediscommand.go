package dataplane

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	maxRedisWords = 1 << 20
	maxRedisWord  = 512 << 20 // the protocol's own bound
)

// redisCommand is what a client of Redis said, and the words in it.
type redisCommand struct {
	raw   []byte
	words []string
}

// readRedisCommand reads a command in the usual form, or one that is typed in a line.
func readRedisCommand(in *bufio.Reader) (c redisCommand, err error) {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return c, err
	}
	c.raw = line
	if line[0] != '*' {
		c.words = strings.Fields(string(line))
		return c, nil
	}
	count, err := redisLength(line, maxRedisWords)
	for i := 0; i < count && err == nil; i++ {
		var length int
		if line, err = in.ReadBytes('\n'); err == nil {
			c.raw = append(c.raw, line...)
			if line[0] != '$' {
				return c, errors.New("a word does not begin with $")
			}
			length, err = redisLength(line, maxRedisWord)
		}
		if err == nil {
			var word []byte
			word, err = io.ReadAll(io.LimitReader(in, int64(length)+2)) // no more room than has arrived
			if len(word) < length+2 && err == nil {
				err = io.ErrUnexpectedEOF
			}
			c.raw = append(c.raw, word...)
			if err == nil {
				c.words = append(c.words, string(word[:length]))
			}
		}
	}
	return c, err
}

func redisLength(line []byte, most int) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(string(line[1:])))
	if err != nil || n > most || n < 0 {
		return 0, fmt.Errorf("%.20q is no length", line)
	}
	return n, nil
}

func encodeRedisCommand(words []string) []byte {
	message := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, word := range words {
		message = fmt.Appendf(message, "$%d\r\n%s\r\n", len(word), word)
	}
	return message
}
