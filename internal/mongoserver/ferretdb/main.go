// Command ferretdb runs FerretDB, an independent implementation of the MongoDB protocol, for tests and demonstrations,
// until a signal ends it. FerretDB knows no login by certificate, so a front does that before it, with TLS: it takes the
// names of the accounts from the certificates, and lets nobody use the database who has not logged in.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	f := &front{}
	flag.StringVar(&f.address, "listen", "127.0.0.1:27017", "address to listen on with TLS; empty for the socket only, with no login before it")
	flag.StringVar(&f.certFile, "cert", "", "certificate to present")
	flag.StringVar(&f.keyFile, "key", "", "its key")
	flag.StringVar(&f.caFile, "ca", "", "authority of the clients' certificates")
	accounts := flag.String("accounts", "", "names of accounts, with commas between them")
	dir := flag.String("dir", "", "folder of the data, which exists")
	flag.Parse()
	f.accounts = strings.Split(*accounts, ",")
	f.socket = filepath.Join(*dir, "s")
	db, err := ferretdb.New(&ferretdb.Config{
		Handler: "sqlite", SQLiteURL: "file:" + *dir + "/", Listener: ferretdb.ListenerConfig{Unix: f.socket},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	failed := make(chan error, 1)
	if f.address == "" {
		failed <- nil
	} else {
		go func() {
			failed <- f.serve(ctx)
			stop()
		}()
	}
	err = db.Run(ctx)
	stop()
	if err = errors.Join(err, <-failed); errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
