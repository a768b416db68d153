package postgres_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/pgserver"
)

// TestBinaryValuesAreRecordedAsText lets the server make the binary form of values, sends it back as a parameter, and
// checks that the record has the text that the server makes of it.
func TestBinaryValuesAreRecordedAsText(t *testing.T) {
	t.Parallel()
	server := pgserver.Start(t, pgserver.Options{})
	agent := front(t, server)
	w := logIn(t, agent)
	w.send(&pgproto3.Query{String: "set timezone to 'UTC'"})
	w.expect("CommandComplete(SET) ParameterStatus ReadyForQuery")
	// round sends a value's text, gets its binary form, sends that, and returns what the server prints.
	binary := func(sqlType string, in []byte, inFormat, outFormat int16, cast string) []byte {
		w.send(&pgproto3.Parse{Query: "select $1::" + sqlType + cast}, &pgproto3.Describe{ObjectType: 'S'}, &pgproto3.Sync{})
		w.untilReady()
		w.send(&pgproto3.Bind{ParameterFormatCodes: []int16{inFormat}, Parameters: [][]byte{in}, ResultFormatCodes: []int16{outFormat}}, &pgproto3.Execute{}, &pgproto3.Sync{})
		var out []byte
		for {
			message, err := w.Receive()
			if err != nil {
				t.Fatal(err)
			}
			switch m := message.(type) {
			case *pgproto3.DataRow:
				out = append([]byte{}, m.Values[0]...)
			case *pgproto3.ErrorResponse:
				t.Fatalf("%s %q: %s", sqlType, in, m.Message)
			case *pgproto3.ReadyForQuery:
				return out
			}
		}
	}
	for sqlType, texts := range map[string][]string{
		"int2[]":        {"{1,-2,NULL}", "{}", "{{1,2},{3,4}}", "[0:1]={5,6}", "[-1:0][2:3]={{1,2},{3,4}}"},
		"int4[]":        {"{2147483647}"},
		"int8[]":        {"{-9223372036854775808}"},
		"text[]":        {`{a,"b c","",null,"null","NuLl","say \"hi\"","back\\slash","{x}","a,b","tab	x","é"}`},
		"varchar[]":     {"{x}"},
		"bpchar[]":      {`{"x  "}`},
		"name[]":        {"{pg_catalog}"},
		"bool[]":        {"{t,f,NULL}"},
		"bytea[]":       {`{"\\x00ff",""}`},
		"float4[]":      {"{1.5,NaN,Infinity}"},
		"float8[]":      {"{1e+300,-0.001}"},
		"numeric[]":     {"{1.50,NaN,-12345678.9}"},
		"uuid[]":        {"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"},
		"date[]":        {"{2024-02-29,infinity}"},
		"timestamp[]":   {`{"2024-02-29 12:00:00.5"}`},
		"timestamptz[]": {`{"2024-02-29 12:00:00+00",-infinity}`},
		"time[]":        {"{12:00:00}"},
		"timetz[]":      {"{12:00:00+02}"},
		"interval[]":    {`{"1 day 02:03:04","1 mon"}`},
		"json[]":        {`{"{\"a\": 1}"}`},
		"jsonb[]":       {`{"{\"a\": [1, 2]}"}`},
		"inet[]":        {"{10.0.0.1,::1}"},
		"cidr[]":        {"{10.0.0.0/8}"},
		"oid[]":         {"{4294967295}"},
		"time":          {"00:00:00", "23:59:59.999999", "24:00:00", "12:30:00.5"},
		"timetz":        {"12:00:00+00", "12:00:00-05:30", "00:00:00.000001+15:59:59", "12:00:00+02"},
		"interval": {"0", "1 year", "-1 year", "1 year 2 mons 3 days 04:05:06.789", "-1 year -2 mons +3 days -04:05:06", "1 mon -1 day +01:00:00",
			"-1 day +00:00:00.000001", "-00:00:01", "100000000:00:00", "-2 days", "2562047788:00:54.775807", "-2562047788:00:54.775807"},
		"inet":        {"10.0.0.1", "10.1.2.3/8", "::1", "fe80::1/64", "::ffff:1.2.3.4", "2001:db8::/32"},
		"cidr":        {"10.0.0.0/8", "192.168.1.1/32", "2001:db8::/32", "0.0.0.0/0"},
		"date":        {"infinity", "-infinity", "0001-01-01"},
		"timestamp":   {"infinity", "-infinity"},
		"timestamptz": {"infinity", "-infinity"},
		"numeric":     {"NaN", "Infinity", "-Infinity", "0", "0.000"},
		"bool":        {"true"},
	} {
		for _, text := range texts {
			form := binary(sqlType, []byte(text), 0, 1, "")
			cast := ""
			if sqlType == "bool" {
				cast = "::text" // "true", where the output has "t"
			}
			want := string(binary(sqlType, form, 1, 0, cast))
			events := agent.Visit(t, 0).Journal.Events("db.session.query")
			params, _ := events[len(events)-1].Fields["db_query_parameters"].([]any)
			if got := fmt.Sprint(params...); got != want {
				t.Errorf("%s %q: recorded %s, the server says %s", sqlType, text, got, want)
			}
		}
	}
}
