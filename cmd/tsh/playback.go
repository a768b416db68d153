package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/terminal"
)

// told are the fields of events that people see.
type told struct {
	Index         int64  `json:"ei"`
	Event         string `json:"event"`
	Time          string `json:"time"`
	Protocol      string `json:"db_protocol"`
	Service       string `json:"db_service"`
	Database      string `json:"db_name"`
	User          string `json:"db_user"`
	Query         string `json:"db_query"`
	Text          string `json:"query"` // of prepared statements
	Parameters    []any  `json:"db_query_parameters"`
	Values        []any  `json:"parameters"` // of a Bind
	StatementName string `json:"statement_name"`
	Uncertain     bool   `json:"query_uncertain"`
	Function      int64  `json:"function_oid"`
	Arguments     []any  `json:"function_args"`
	Script        string `json:"script"` // that the statement names
	Masked        bool   `json:"query_masked"`
	// The places of those of the lists above that are in base64.
	BinaryParameters []int `json:"db_query_parameters_binary"`
	BinaryValues     []int `json:"parameters_binary"`
	BinaryArguments  []int `json:"function_args_binary"`

	Statement     int64     `json:"statement_ei"`
	Command       command   `json:"command"`
	Tag           string    `json:"command_tag"`
	Rows          int64     `json:"affected_records"`
	CopyDirection string    `json:"copy_direction"`
	CopyBytes     int64     `json:"copy_bytes"`
	Micros        int64     `json:"duration_us"`
	Following     [][]int64 `json:"following_results"` // statement_ei, command, affected_records, bytes, duration_us of each
	Success       bool      `json:"success"`
	Error         string    `json:"error"`
	Reason        string    `json:"reason"`
	Message       string    `json:"message"`

	// Of MySQL.
	StatementID int64  `json:"statement_id"`
	ParameterID int64  `json:"parameter_id"`
	DataSize    int64  `json:"data_size"`
	RowsCount   int64  `json:"rows_count"`
	ProcessID   int64  `json:"process_id"`
	Schema      string `json:"schema_name"`
	Argument    string `json:"argument"`
	Subcommand  string `json:"subcommand"`
}

// command is which of several commands in one statement a result is of, or the name of a command of MySQL.
type command struct {
	number int64
	name   string
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *command) UnmarshalJSON(text []byte) error {
	if json.Unmarshal(text, &c.number) == nil {
		return nil
	}
	return json.Unmarshal(text, &c.name)
}

// playback tells a session to people. Statements are numbered, so that a result that comes later than right behind
// its statement says which one it is of.
type playback struct {
	numbers map[int64]int // of statements, by the index of their event
	last    int64         // index of the statement that was told last
}

func (p *playback) event(out io.Writer, line []byte) error {
	var e told
	if err := json.Unmarshal(line, &e); err != nil {
		return fault.Wrap(fault.BadParameter, err, "this is no event of a session")
	}
	var b strings.Builder
	switch e.Event {
	case "db.session.start":
		p.start(&b, &e)
	case "db.session.query", "db.session.query.failed":
		p.statement(&b, &e, commandText(&e))
		p.values(&b, "parameters", e.Parameters, e.BinaryParameters)
		if e.Script != "" {
			fmt.Fprintf(&b, "   script: %s\n", indented(e.Script))
		}
		if e.Masked {
			fmt.Fprintf(&b, "   secrets are masked\n")
		}
		if e.Event == "db.session.query.failed" {
			fmt.Fprintf(&b, "   refused: %s\n", indented(e.Error))
		}
	case "db.session.postgres.function":
		p.statement(&b, &e, fmt.Sprintf("call of function %d", e.Function))
		p.values(&b, "arguments", e.Arguments, e.BinaryArguments)
	case "db.session.postgres.statements.parse":
		p.statement(&b, &e, fmt.Sprintf("prepare %s: %s", orElse(e.StatementName, "(unnamed)"), e.Text))
	case "db.session.postgres.statements.bind":
		p.statement(&b, &e, "bind: "+e.Text)
		p.values(&b, "parameters", e.Values, e.BinaryValues)
	case "db.session.result":
		p.result(&b, &e)
		for _, next := range e.Following {
			if len(next) == 5 {
				e.Statement, e.Command.number, e.Rows, e.Micros = next[0], next[1], next[2], next[4]
				p.result(&b, &e)
			}
		}
	case "db.session.end":
		fmt.Fprintf(&b, "\nSession ended at %s: %s\n", e.Time, oneLine(orElse(e.Reason, "closed")))
	default:
		if !p.mysql(&b, &e) {
			fmt.Fprintf(&b, "[%s] %s %s\n", e.Time, e.Event, indented(orElse(e.Error, e.Query)))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (p *playback) start(b *strings.Builder, e *told) {
	if !e.Success {
		fmt.Fprintf(b, "Session was refused at %s: %s\n", e.Time, terminal.Quote(e.Message))
		return
	}
	where := fmt.Sprintf("%q of %q", e.Database, e.Service)
	if e.Database == "" {
		where = strconv.Quote(e.Service)
	}
	fmt.Fprintf(b, "Session started to database %s as %q at %s\n", where, e.User, e.Time)
}

// prompt is where a statement was executed, as people read it: in some databases there is none by name.
func prompt(e *told) string {
	switch {
	case e.Database == "":
		return oneLine(e.Service)
	case e.Protocol == resource.ProtocolRedis:
		return oneLine(fmt.Sprintf("%s[%s]", e.Service, e.Database))
	default:
		return oneLine(e.Database)
	}
}

func (p *playback) statement(b *strings.Builder, e *told, text string) {
	if p.numbers == nil {
		p.numbers = make(map[int64]int)
	}
	p.numbers[e.Index], p.last = len(p.numbers)+1, e.Index
	fmt.Fprintf(b, "\n#%d %s=> %s\n", p.numbers[e.Index], prompt(e), indented(text))
	if e.Uncertain {
		fmt.Fprintf(b, "   uncertain: SQL may have given the name another meaning\n")
	}
}

// values tells those of a list, of which the binary ones are in base64.
func (p *playback) values(b *strings.Builder, what string, values []any, binary []int) {
	if len(values) == 0 {
		return
	}
	shown := make([]string, len(values))
	for i, value := range values {
		text, err := json.Marshal(value)
		if err != nil {
			return // these came out of JSON
		}
		shown[i] = string(text)
	}
	for _, i := range binary { // there may be millions
		if i >= 0 && i < len(shown) {
			shown[i] = "base64 " + shown[i]
		}
	}
	fmt.Fprintf(b, "   %s: [%s]\n", what, oneLine(strings.Join(shown, ",")))
}

func (p *playback) result(b *strings.Builder, e *told) {
	b.WriteString("   ")
	if e.Statement != p.last {
		fmt.Fprintf(b, "of #%d: ", p.numbers[e.Statement])
	}
	if e.Command.number > 0 {
		fmt.Fprintf(b, "line %d: ", e.Command.number)
	}
	took := fmt.Sprintf("%.3f ms", float64(e.Micros)/1000)
	volume := ""
	if e.CopyDirection != "" {
		volume = fmt.Sprintf(", %d bytes copied %s", e.CopyBytes, oneLine(e.CopyDirection))
	}
	if !e.Success {
		fmt.Fprintf(b, "%s in %s%s\n", indented(e.Error), took, volume)
		return
	}
	fmt.Fprintf(b, "%s (%s%s) in %s\n", oneLine(orElse(e.Tag, "SUCCESS")), counted(e), volume, took)
}

// counted is how many rows a result had, in the words of its protocol.
func counted(e *told) string {
	what := "row"
	switch e.Protocol {
	case resource.ProtocolMongoDB:
		what = "document"
	case resource.ProtocolRedis:
		what = "element"
	}
	if e.Rows != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", e.Rows, what)
}

// oneLine returns a text from outside for a line of ours.
func oneLine(text string) string {
	return strings.NewReplacer("\n", `\n`, "\t", " ").Replace(terminal.Clean(text))
}

// indented returns a text from outside that may have several lines. The further ones are marked, so that none looks
// like a line of ours.
func indented(text string) string {
	return strings.ReplaceAll(terminal.Clean(text), "\n", "\n   | ")
}
