package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

func dbCheckCommand(g *global) *cobra.Command {
	req := &sallyportv1.CheckDatabaseRequest{}
	var format string
	cmd := &cobra.Command{
		Use:   "check NAME",
		Short: "Have an agent walk the whole way to a database, and say where it ends",
		Long: `Have an agent that serves the database walk the whole way to it: resolve its name, connect, get a credential, verify
its certificate and log in. Each step is shown with what was found and, where it fails, with what to do next, in the
words that users and the agent's log would read. Steps that do not depend on a failed one are taken all the same.

Nothing is asked of the database beyond the login. The check is recorded in the audit log. It needs the verb update on
db resources.`,
		Example: "  tctl db check orders --db-user=reader\n  tctl db check orders --db-user=reader --db-name=sales --agent=agent-2",
		Args:    cobra.ExactArgs(1),
		RunE: g.with(func(cmd *cobra.Command, args []string, api *authapi.Client) error {
			req.Name = args[0]
			if req.GetDatabaseUser() == "" {
				return terminal.UsageError(cmd, errors.New("--db-user is missing; name the account to log in with"))
			}
			res, err := api.Databases.CheckDatabase(cmd.Context(), req)
			if err != nil {
				return err
			}
			if err := printCheck(cmd.OutOrStdout(), format, res.GetSteps()); err != nil {
				return err
			}
			return verdict(req, res.GetSteps())
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&req.DatabaseUser, "db-user", "", "`account` in the database to log in with")
	flags.StringVar(&req.DatabaseName, "db-name", "", "logical `database` to log in to; one that every server has by default")
	flags.StringVar(&req.Agent, "agent", "", "host id or host `name` of the agent that is to check; any that serves the database by default")
	terminal.FormatFlag(cmd, &format, "", "output `format`: text, json or yaml", "text", "json", "yaml")
	return cmd
}

// checkStep is a step as json and yaml show it.
type checkStep struct {
	Step   string `json:"step" yaml:"step"`
	Result string `json:"result" yaml:"result"`
	Detail string `json:"detail" yaml:"detail"`
	Next   string `json:"next,omitempty" yaml:"next,omitempty"`
}

var checkResults = map[sallyportv1.CheckStep_Result]string{
	sallyportv1.CheckStep_RESULT_PASSED:   "ok",
	sallyportv1.CheckStep_RESULT_DOUBTFUL: "warning",
	sallyportv1.CheckStep_RESULT_FAILED:   "failed",
}

func printCheck(out io.Writer, format string, steps []*sallyportv1.CheckStep) error {
	shown := []checkStep{}
	for _, step := range steps {
		result := checkResults[step.GetResult()]
		if result == "" {
			result = "unknown" // of a later version
		}
		shown = append(shown, checkStep{step.GetName(), result, step.GetDetail(), step.GetAdvice()})
	}
	if format != "text" {
		return terminal.EncodeIndented(out, format, shown, 4)
	}
	for _, step := range shown {
		if _, err := fmt.Fprintf(out, "%-8s %s: %s\n", step.Result, terminal.Line(step.Step), terminal.Line(step.Detail)); err != nil {
			return err
		}
		if step.Next == "" {
			continue
		}
		if _, err := fmt.Fprintf(out, "%8s next: %s\n", "", terminal.Line(step.Next)); err != nil {
			return err
		}
	}
	return nil
}

// verdict is the error of a check that found something wrong.
func verdict(req *sallyportv1.CheckDatabaseRequest, steps []*sallyportv1.CheckStep) error {
	for _, step := range steps {
		if step.GetResult() == sallyportv1.CheckStep_RESULT_FAILED {
			return fault.New(fault.ConnectionProblem, "database %q cannot be used as %q: the step %q failed; do what it says and check again", req.GetName(), req.GetDatabaseUser(), step.GetName())
		}
	}
	return nil
}
