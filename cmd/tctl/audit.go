package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

func auditCommand(g *global) *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Read the audit log"}
	cmd.AddCommand(auditListCommand(g))
	return cmd
}

// maxEvents is how many events one page holds at most.
const maxEvents = 10_000

// auditFlags are those of audit ls.
type auditFlags struct {
	from, to, user, session, format, page string
	types                                 []string
	last                                  time.Duration
	limit                                 int
	ascending                             bool
}

func auditListCommand(g *global) *cobra.Command {
	f := &auditFlags{}
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List events, the newest first",
		Example: "  tctl audit ls --last=1h --type=db.session.query\n" +
			"  tctl audit ls --session=307b49d6-56c7-4d20-8cf0-5bc5348a7101 --ascending --format=json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, g) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "events from this `time` on, RFC 3339 or 2006-01-02 (UTC)")
	flags.StringVar(&f.to, "to", "", "events before this `time`, RFC 3339 or 2006-01-02 (UTC)")
	flags.DurationVar(&f.last, "last", 0, "events of the last `duration`; instead of --from and --to")
	flags.StringSliceVar(&f.types, "type", nil, "events of these `types` only, such as db.session.query")
	flags.StringVar(&f.user, "user", "", "events of this `user` only")
	flags.StringVar(&f.session, "session", "", "events of this `session` only")
	flags.IntVar(&f.limit, "limit", 100, "how many events at most, a `number`; then the command tells how to go on")
	flags.StringVar(&f.page, "page", "", "`where` to go on, as told by the page before")
	terminal.Choices(cmd, "type", audit.Types()...)
	flags.BoolVar(&f.ascending, "ascending", false, "the oldest first")
	terminal.FormatFlag(cmd, &f.format, "", "output `format`: text, or json: one event on each line", "text", "json")
	return cmd
}

func (f *auditFlags) run(cmd *cobra.Command, g *global) error {
	if f.limit < 1 || f.limit > maxEvents {
		return fault.New(fault.BadParameter, "--limit: %d is not a number from 1 to %d; go on from page to page for more", f.limit, maxEvents)
	}
	for _, typ := range f.types {
		if !slices.Contains(audit.Types(), typ) {
			return fault.New(fault.BadParameter, "--type: %q is not a type of event; use some of %s", typ, strings.Join(audit.Types(), ", "))
		}
	}
	req := &sallyportv1.SearchEventsRequest{
		Types: f.types, User: f.user, SessionId: f.session, Limit: int32(f.limit), Ascending: f.ascending, PageToken: f.page,
	}
	if err := f.setRange(req); err != nil {
		return err
	}
	api, err := g.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer api.Close()
	res, err := api.Audit.SearchEvents(cmd.Context(), req)
	if err != nil {
		return err
	}
	for _, event := range res.GetEvents() {
		if err := printEvent(cmd.OutOrStdout(), f.format, event); err != nil {
			return err
		}
	}
	if next := res.GetNextPageToken(); next != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "There are more events; go on with --page=%s\n", next)
	}
	return nil
}

func (f *auditFlags) setRange(req *sallyportv1.SearchEventsRequest) error {
	if f.last < 0 {
		return fault.New(fault.BadParameter, "--last must be positive, as in --last=2h")
	}
	if f.last != 0 {
		if f.from != "" || f.to != "" {
			return fault.New(fault.BadParameter, "give --last, or --from and --to, not both")
		}
		req.From = timestamppb.New(terminal.Now().Add(-f.last))
		return nil
	}
	for _, edge := range []struct {
		flag, value string
		set         func(time.Time)
	}{
		{"--from", f.from, func(t time.Time) { req.From = timestamppb.New(t) }},
		{"--to", f.to, func(t time.Time) { req.To = timestamppb.New(t) }},
	} {
		if edge.value == "" {
			continue
		}
		at, err := parseTime(edge.value)
		if err != nil {
			return fault.New(fault.BadParameter, "%s is not a time like 2026-01-31T18:00:00Z or 2026-01-31", edge.flag)
		}
		edge.set(at)
	}
	return nil
}

func parseTime(value string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, value); err == nil {
		return at, nil
	}
	return time.Parse(time.DateOnly, value)
}

// printEvent prints an event: as it is stored, or as a line for people.
func printEvent(out io.Writer, format string, line []byte) error {
	if format == "json" {
		_, err := fmt.Fprintf(out, "%s\n", line)
		return err
	}
	var e struct {
		Time    string  `json:"time"`
		Event   string  `json:"event"`
		Code    string  `json:"code"`
		User    string  `json:"user"`
		SID     string  `json:"sid"`
		Service string  `json:"db_service"`
		DBUser  string  `json:"db_user"`
		DBName  string  `json:"db_name"`
		Query   *string `json:"db_query"`
		Name    string  `json:"name"`
		Success *bool   `json:"success"`
		Error   string  `json:"error"`
		Reason  string  `json:"reason"`
		Tag     string  `json:"command_tag"`
		Node    string  `json:"node_name"`
		Role    string  `json:"role"`
		Kind    string  `json:"kind"`
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return fault.Wrap(fault.Internal, err, "an event of the log cannot be read")
	}
	parts := []string{e.Time, e.Code, e.Event}
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+terminal.Quote(value))
		}
	}
	add("user", e.User)
	add("kind", e.Kind)
	add("name", e.Name)
	add("host", e.Node)
	add("role", e.Role)
	add("db", e.Service)
	add("db_user", e.DBUser)
	add("db_name", e.DBName)
	if e.Query != nil {
		add("query", *e.Query)
	}
	add("result", e.Tag)
	add("reason", e.Reason)
	add("error", e.Error)
	if e.Success != nil && !*e.Success {
		add("success", "false")
	}
	add("sid", e.SID)
	_, err := fmt.Fprintln(out, strings.Join(parts, " "))
	return err
}
