package postgres_test

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"sallyport/internal/pgserver"
)

func testValues(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn := connect(t, agent)
	at := time.Date(2024, 2, 29, 12, 34, 56, 789000, time.UTC)
	for _, c := range []struct {
		sqlType string
		value   any
		want    any
	}{
		{"int2", int16(-7), "-7"}, {"int4", int32(1 << 30), "1073741824"}, {"int8", int64(-1 << 62), "-4611686018427387904"},
		{"bool", true, "true"}, {"float8", 1.5, "1.5"}, {"float4", float32(0.25), "0.25"}, {"text", "it's", "it's"},
		{"uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{"timestamptz", at, "2024-02-29 12:34:56.000789+00"}, {"timestamp", at, "2024-02-29 12:34:56.000789"}, {"date", at, "2024-02-29"},
		{"jsonb", `{"a": 1}`, `{"a": 1}`}, {"numeric", numeric("-12345678.900"), "-12345678.900"}, {"numeric", numeric("0.00012"), "0.00012"},
		{"numeric", numeric("100000000"), "100000000"}, {"bytea", []byte{0, 1, 255}, "AAH/"}, {"text", nil, nil},
	} {
		exec1(t, conn, "select $1::"+c.sqlType, c.value)
		events := agent.Visit(t, 0).Journal.Events("db.session.query")
		params := events[len(events)-1].Fields["db_query_parameters"].([]any)
		if params[0] != c.want {
			t.Errorf("%s: recorded %v, want %v", c.sqlType, params[0], c.want)
		}
	}
}

// testTexts compares the recorded texts of binary values with those that the server makes of them.
func testTexts(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn, err := tryConnect(t, agent, "&timezone=UTC")
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	moment := func() time.Time {
		return time.Date(random.IntN(9999)+1, 1, 1+random.IntN(365), 0, 0, 0, random.IntN(1e6)*1000, time.UTC)
	}
	float := func() float64 { return (random.Float64() - 0.5) * math.Pow(10, float64(random.IntN(80)-40)) }
	var want []string
	for sqlType, value := range map[string]func() any{
		"int8":        func() any { return int64(random.Uint64()) >> random.IntN(64) },
		"int4":        func() any { return int32(random.Uint32()) >> random.IntN(32) },
		"float8":      func() any { return float() },
		"float4":      func() any { return float32(float()) },
		"date":        func() any { return moment() },
		"timestamp":   func() any { return moment() },
		"timestamptz": func() any { return moment() },
		"numeric": func() any {
			return pgtype.Numeric{Int: big.NewInt(int64(random.Uint64()) >> random.IntN(64)), Exp: int32(random.IntN(60) - 40), Valid: true}
		},
		"uuid": func() any {
			var id [16]byte
			binary.BigEndian.PutUint64(id[random.IntN(9):], random.Uint64())
			return pgtype.UUID{Bytes: id, Valid: true}
		},
	} {
		for range 200 {
			var text string
			if err := conn.QueryRow(t.Context(), "select $1::"+sqlType+"::text", value()).Scan(&text); err != nil {
				t.Fatal(sqlType, err)
			}
			want = append(want, text)
		}
	}
	events := agent.Visit(t, 0).Journal.Events("db.session.query")
	if len(events) != len(want) {
		t.Fatalf("%d statements were recorded, want %d", len(events), len(want))
	}
	for i, event := range events {
		got := event.Fields["db_query_parameters"].([]any)[0].(string)
		if got != want[i] && !(strings.Contains(event.Text("db_query"), "::float") && sameFloat(got, want[i])) {
			t.Errorf("%s: recorded %v, the server says %s", event.Text("db_query"), got, want[i])
		}
	}
}

// sameFloat reports whether two texts stand for one number. Of several shortest texts the server may take another.
func sameFloat(a, b string) bool {
	for _, bits := range []int{32, 64} {
		x, errX := strconv.ParseFloat(a, bits)
		y, errY := strconv.ParseFloat(b, bits)
		if errX == nil && errY == nil && x == y {
			return true
		}
	}
	return false
}

func testEncoding(t *testing.T, server *pgserver.Server) {
	agent := front(t, server)
	conn, err := tryConnect(t, agent, "&client_encoding=LATIN1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.PgConn().Exec(t.Context(), "select 'caf\xe9'").ReadAll(); err != nil {
		t.Fatal(err)
	}
	v := depart(t, agent, conn)
	if got := v.Journal.Events("db.session.query")[0].Text("db_query_base64"); got != "c2VsZWN0ICdjYWbpJw==" {
		t.Fatalf("recorded %q", got)
	}
}
