package main

import (
	"cmp"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"sallyport/internal/aws/fakeaws"
)

func verifyCommand() *cobra.Command {
	var socket string
	var login fakeaws.Login
	command := &cobra.Command{Use: "verify", Args: cobra.NoArgs, Short: "Ask a running world about one login; for PAM scripts",
		Long: "Asks a running world whether a user may log in with a token. The exit code is 0 if so. Without --user, PAM_USER is\n" +
			"read; the token always comes from PAM_AUTHTOK, since arguments can be seen by others.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			login.User = cmp.Or(login.User, os.Getenv("PAM_USER"))
			login.Token = os.Getenv("PAM_AUTHTOK")
			verdict, err := fakeaws.AskVerifier(cmd.Context(), socket, login)
			if err != nil {
				return err
			}
			if !verdict.Allow {
				return errors.New("refused: " + verdict.Reason)
			}
			return nil
		}}
	flags := command.Flags()
	flags.StringVar(&socket, "socket", "", "the world's verifier socket")
	flags.StringVar(&login.Service, "service", fakeaws.RDSConnect, "service of the server")
	flags.StringVar(&login.Host, "host", "", "what tokens of this server are signed for: host:port or the name of the cache")
	flags.StringVar(&login.User, "user", "", "the database user")
	flags.StringVar(&login.Database, "database", "", "the database, for Redshift")
	return command
}
