package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/pgserver"
)

func testCopy(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	exec1(t, conn, "create temp table copied (n int, s text)")
	const rows = 200_000
	in := make([][]any, rows)
	for i := range in {
		in[i] = []any{i, "some text of a row"}
	}
	if n, err := conn.CopyFrom(t.Context(), pgx.Identifier{"copied"}, []string{"n", "s"}, pgx.CopyFromRows(in)); err != nil || n != rows {
		t.Fatal(n, err)
	}
	sizes := make(map[string]int)
	for _, format := range []string{"text", "binary"} {
		var out bytes.Buffer
		tag, err := conn.PgConn().CopyTo(t.Context(), &out, "copy (select * from copied limit 200000) to stdout (format "+format+")")
		if err != nil || tag.RowsAffected() != rows {
			t.Fatal(tag, err)
		}
		sizes[format] = out.Len()
		tag, err = conn.PgConn().CopyFrom(t.Context(), &out, "copy copied from stdin (format "+format+")")
		if err != nil || tag.RowsAffected() != rows {
			t.Fatal(tag, err)
		}
	}
	var sum int64
	if err := conn.QueryRow(t.Context(), "select sum(n) from copied").Scan(&sum); err != nil || sum != 3*rows*(rows-1)/2 {
		t.Fatal(sum, err)
	}
	all := outcomes(t, depart(t, agent, conn))
	for format, size := range sizes {
		var directions []string
		for _, o := range all {
			if !strings.HasSuffix(o.Query.Text("db_query"), "(format "+format+")") {
				continue
			}
			r := o.Result[0]
			directions = append(directions, r.Text("copy_direction"))
			if r.Number("copy_bytes") != int64(size) || r.Number("affected_records") != rows {
				t.Errorf("%s: %v, want %d bytes", o.Query.Text("db_query"), r.Fields, size)
			}
		}
		if !slices.Equal(directions, []string{"out", "in"}) {
			t.Errorf("copies in format %s went %q, want out and in", format, directions)
		}
	}
}

func testCopyFails(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	exec1(t, conn, "create temp table bad (n int)")
	long := strings.Repeat("1\n", 100_000) + "x\n" + strings.Repeat("2\n", 1_000_000)
	for range 3 {
		_, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader(long), "copy bad from stdin")
		wantState(t, err, "22P02")
		exec1(t, conn, "select $1::int", 1)
	}
	all := outcomes(t, depart(t, agent, conn))
	if r := all[1].Result[0]; len(all) != 7 || r.Text("copy_direction") != "in" || r.Text("sqlstate") != "22P02" || r.Number("copy_bytes") == 0 {
		t.Fatalf("%d statements, %v", len(all), r.Fields)
	}
}

func testCopyGivenUp(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	exec1(t, conn, "create temp table given_up (n int)")
	_, err := conn.PgConn().CopyFrom(t.Context(), io.MultiReader(strings.NewReader("1\n"), broken{}), "copy given_up from stdin")
	wantState(t, err, "57014")
	exec1(t, conn, "select 1")
	all := outcomes(t, depart(t, agent, conn))
	if len(all) != 3 {
		t.Fatalf("%d statements, want 3", len(all))
	}
	if r := all[1].Result[0]; r.Text("copy_direction") != "in" || r.Flag("success") || r.Text("sqlstate") != "57014" {
		t.Errorf("result of the copy: %v", r.Fields)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func testBulk(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	var size, rows int
	if err := conn.QueryRow(t.Context(), "select length($1::text)", strings.Repeat("x", 20<<20)).Scan(&size); err != nil || size != 20<<20 {
		t.Fatal(size, err)
	}
	var text string
	if err := conn.QueryRow(t.Context(), "select repeat('y', 20 << 20)").Scan(&text); err != nil || len(text) != 20<<20 {
		t.Fatal(len(text), err)
	}
	got, err := conn.Query(t.Context(), "select n, repeat('z', n % 300) from generate_series(1, 100000) n")
	if err != nil {
		t.Fatal(err)
	}
	for got.Next() {
		var n int
		if err := got.Scan(&n, &text); err != nil || n != rows+1 || len(text) != n%300 {
			t.Fatal(n, len(text), err)
		}
		rows++
	}
	if got.Err() != nil || rows != 100_000 {
		t.Fatal(rows, got.Err())
	}
	var failure string
	for range 2 {
		_, err = conn.Exec(t.Context(), "do $$ begin raise exception '%', repeat('e', 1000000); end $$")
		failure = wantState(t, err, "P0001").Message
	}
	if len(failure) != 1_000_000 {
		t.Fatalf("an error of %d bytes", len(failure))
	}
	depart(t, agent, conn)
}

func testLargeObjects(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	objects := tx.LargeObjects()
	oid, err := objects.Create(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	object, err := objects.Open(t.Context(), oid, pgx.LargeObjectModeRead|pgx.LargeObjectModeWrite)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("0123456789"), 300_000)
	if _, err := object.Write(content); err != nil {
		t.Fatal(err)
	}
	if _, err := object.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(object)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatal(len(got), err)
	}
	if err := objects.Unlink(t.Context(), oid); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var calls []string
	for _, o := range outcomes(t, depart(t, agent, conn)) {
		if !o.Result[0].Flag("success") {
			t.Errorf("%s: %v", o.Query.Text("db_query"), o.Result[0].Fields)
		}
		if name, _, ok := strings.Cut(strings.TrimPrefix(o.Query.Text("db_query"), "select "), "("); ok && !slices.Contains(calls, name) {
			calls = append(calls, name)
		}
	}
	if want := []string{"lo_create", "lo_open", "lowrite", "lo_lseek64", "loread", "lo_unlink"}; !slices.Equal(calls, want) {
		t.Errorf("recorded calls of %q, want %q", calls, want)
	}
}

func testNotify(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	listener, sender := connect(t, agent), connect(t, agent)
	exec1(t, listener, "listen news")
	exec1(t, sender, "select pg_notify('news', $1)", "hello")
	ctx, cancel := context.WithTimeout(t.Context(), enginetest.Patience)
	defer cancel()
	notification, err := listener.WaitForNotification(ctx)
	if err != nil || notification.Payload != "hello" || notification.PID != sender.PgConn().PID() {
		t.Fatal(notification, err)
	}
	for i, want := range []string{"listen news []", "select pg_notify('news', $1) [hello]"} {
		all := outcomes(t, agent.Visit(t, i))
		if len(all) != 1 {
			t.Fatalf("visit %d: %d statements, want 1", i, len(all))
		}
		params, _ := all[0].Query.Fields["db_query_parameters"].([]any)
		if got := fmt.Sprint(all[0].Query.Text("db_query"), " ", params); got != want || !all[0].Result[0].Flag("success") {
			t.Errorf("recorded %s: %v, want %s", got, all[0].Result[0].Fields, want)
		}
	}
}
