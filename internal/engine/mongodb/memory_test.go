package mongodb_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb"
	"sallyport/internal/engine/mongodb/mongotest"
)

// quiet answers inserts without keeping them.
var quiet = mongotest.Options{Any: func(c *mongotest.Conn, m mongotest.Message) bool {
	if m.Name() == "insert" {
		c.Reply(m, d(e("ok", 1)))
	}
	return m.Name() == "insert"
}}

// TestBytesCostNoMoreThanLetters has large messages of all kinds of texts. It runs alone: what is allocated is the whole
// process's.
func TestBytesCostNoMoreThanLetters(t *testing.T) {
	agent, _ := small(t, quiet)
	c := logIn(t, agent)
	agent.Visit(t, 0).Journal.Forget()
	cost := func(value string, count int) float64 {
		t.Helper()
		documents := make([]any, count)
		for i := range documents {
			documents[i] = d(e("v", value))
		}
		sent := message(t, 70, 0, in("orders", e("insert", "c")), sequence(t, "documents", documents...))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := c.exchange(patience(t), sent); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc - before.TotalAlloc)
	}
	for _, shape := range []struct{ size, count int }{{4 << 20, 2}, {1000, 8000}} {
		letters := cost(strings.Repeat("x", shape.size), shape.count)
		for name, c := range map[string]string{"control characters": "\x01", "quotes": `"`, "lines": "\n", "a tenth": "xxxxxxxxx\x01"} {
			if ratio := cost(strings.Repeat(c, shape.size/len(c)), shape.count) / letters; ratio > 1.5 {
				t.Errorf("%d texts: %s cost %.1f times as much as letters", shape.count, name, ratio)
			}
		}
	}
	leave(t, agent, c)
}

// TestLargeTextsInTheRecord checks that what is in base64 in the record of a large message is exact, and nothing else is.
func TestLargeTextsInTheRecord(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, quiet)
	c := logIn(t, agent)
	odd, filler := strings.Repeat("\x01\"", 1000), strings.Repeat("x", 2<<20)
	for _, with := range []string{filler, "short"} {
		if _, err := c.run(patience(t), in("orders", e("insert", "c"), e("plain", "a\n\"b\""), e("odd", odd), e("filler", with))); err != nil {
			t.Fatal(err)
		}
	}
	events := leave(t, agent, c).Journal.Events("db.session.query")
	var large struct {
		Plain string
		Odd   struct {
			Binary struct{ Base64, SubType string } `json:"$binary"`
		}
		Filler string
	}
	if err := json.Unmarshal([]byte(events[0].Text("db_query")), &large); err != nil {
		t.Fatal(err)
	}
	got, err := base64.StdEncoding.DecodeString(large.Odd.Binary.Base64)
	if err != nil || string(got) != odd || large.Odd.Binary.SubType != "text" || large.Plain != "a\n\"b\"" || large.Filler != filler {
		t.Errorf("recorded is %.200q: %v", events[0].Text("db_query"), err)
	}
	var short struct{ Odd string }
	if err := json.Unmarshal([]byte(events[1].Text("db_query")), &short); err != nil || short.Odd != odd {
		t.Errorf("of a small command, recorded is %.200q: %v", events[1].Text("db_query"), err)
	}
}

// TestALargeCommandGivesItsRoomBack once it is sent, also while its answer is still to come and its session goes on.
func TestALargeCommandGivesItsRoomBack(t *testing.T) {
	t.Parallel()
	const size = 2 << 20
	agent, _ := small(t, quiet, func(cfg *enginetest.Config) {
		cfg.Engine = mongodb.New(mongodb.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxLarge: 2 * 5 * size, LargeWait: enginetest.Patience})
	})
	large := in("orders", e("insert", "c"), e("documents", []any{d(e("v", bytes.Repeat([]byte{'x'}, size)))}))
	for who, c := range map[string]*rawClient{"the first": logIn(t, agent), "the second": logIn(t, agent)} {
		if _, err := c.run(patience(t), large); err != nil {
			t.Errorf("%s session heard %v", who, err)
		}
	}
}
