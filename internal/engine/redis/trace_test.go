package redis_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis/redistest"
	"sallyport/internal/engine/redis/resp"
)

// TestTrace compares a login, commands and a refusal, as they are on both sides of the engine, with the file below
// testdata.
func TestTrace(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var server strings.Builder
	s := redistest.Start(t, func(args []string) []byte {
		answer := resp.AppendSimple(nil, "OK")
		switch args[0] {
		case "GET":
			answer = resp.AppendBulk(nil, "a value")
		case "CLIENT":
			answer = resp.AppendInteger(nil, 1<<32)
		}
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&server, "> %q\n< %q\n", args, answer)
		return answer
	})
	agent := enginetest.Start(t, enginetest.Config{
		Engine: newEngine(), Database: enginetest.NewDatabase(t, "redis", s.Addr, s.Authority.CertPEM()),
		Credentials: enginetest.AccountsOnly,
	})
	c := (&real{agent: agent}).raw(t)
	var client strings.Builder
	for _, command := range []string{"AUTH app secret", "SET k v", "GET k", "CONFIG SET requirepass secret", "AUTH other secret", "MULTI", "RESET", "QUIT"} {
		c.say(t, command)
		fmt.Fprintf(&client, "> %q\n< %q\n", command, c.line(t))
		if command == "GET k" {
			c.line(t)
		}
	}
	if err := agent.Visit(t, 0).Wait(t); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	mu.Lock()
	fmt.Fprintf(&got, "client and engine\n%s\nengine and database\n%s\nrecorded\n", client.String(), server.String())
	mu.Unlock()
	for _, event := range agent.Visit(t, 0).Journal.Events() {
		fmt.Fprintf(&got, "%s %s %s\n", event.Code, event.Type, event.Text("db_query"))
	}
	enginetest.Golden(t, "login_and_commands.txt", got.String(), *update)
}
