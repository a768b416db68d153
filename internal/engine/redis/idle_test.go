package redis_test

import (
	"runtime"
	"strings"
	"testing"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis/resp"
)

// TestIdleSessionsKeepNothingOfLargeCommands once those are answered.
func TestIdleSessionsKeepNothingOfLargeCommands(t *testing.T) {
	many := []string{"DEL"}
	for range 500_000 {
		many = append(many, "k")
	}
	for name, args := range map[string][]string{
		"a value":        {"SET", "k", strings.Repeat("x", 32<<20)},
		"many arguments": many,
		"many scripts":   append([]string{"SCRIPT", "EXISTS"}, many...),
	} {
		t.Run(name, func(t *testing.T) {
			r, c := ready(t, func([]string) []byte { return []byte(":1\r\n") })
			message := resp.AppendCommand(nil, args...)
			args = nil
			r.agent.Visit(t, 0).Journal.Forget()
			before := enginetest.LiveHeap()
			size := int64(len(message))
			c.Write(message)
			c.hear(t, ":1\n")
			message = nil
			enginetest.AwaitHeap(t, before-size+1<<20)
			runtime.KeepAlive(r)
		})
	}
}
