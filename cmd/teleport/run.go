package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/durable"
	"sallyport/internal/fault"
	"sallyport/internal/service"
)

// run runs the daemon until it fails or a signal stops it, and cleans up.
func run(ctx context.Context, cfg *config.Config) (err error) {
	if err := checkGODEBUG(os.Getenv("GODEBUG")); err != nil {
		return err
	}
	if err := harden(); err != nil {
		return err
	}
	output, closeOutput, err := openLog(cfg.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeOutput()) }()
	logger := newLogger(output, cfg.Log)
	for _, warning := range cfg.Warnings {
		logger.Warn("configuration", "warning", warning)
	}
	removePID, err := writePID(cfg.PIDFile)
	if err != nil {
		return err
	}
	defer removePID()

	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	defer signal.Stop(signals)
	work, stopWork := context.WithCancelCause(ctx)
	drain, stopDrain := context.WithCancelCause(ctx)
	defer stopDrain(nil)
	defer stopWork(nil)
	reload := make(chan struct{}, 1)
	s := &stopper{
		reload: func() {
			select {
			case reload <- struct{}{}:
			default: // it is about to happen
			}
		},
		stopWork: stopWork, stopSessions: stopDrain, delay: cfg.ShutdownDelay, patience: drainTime, logger: logger,
		kill: func(by syscall.Signal) {
			removePID()
			signal.Reset(by)
			if err := syscall.Kill(os.Getpid(), by); err != nil {
				os.Exit(1)
			}
		},
	}
	finished := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.listen(signals, finished)
	}()
	err = service.Process{Reload: reload}.Run(work, drain, cfg, logger)
	close(finished)
	<-stopped
	if errors.Is(err, context.Canceled) && work.Err() != nil {
		return nil
	}
	return err
}

// openLog opens where the log goes. Only files of our own are closed.
func openLog(l config.Log) (out io.Writer, closeLog func() error, err error) {
	keep := func() error { return nil }
	switch l.Output {
	case "stdout":
		return os.Stdout, keep, nil
	case "stderr":
		return os.Stderr, keep, nil
	}
	file, err := os.OpenFile(l.Output, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, nil, fault.Wrap(fault.BadParameter, err, "the log cannot be written to %s: %s; set teleport.log.output to another place", l.Output, cause(err))
	}
	return file, file.Close, nil
}

func newLogger(out io.Writer, l config.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: l.Level()}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}

// writePID writes the number of this process to the file, if one is wanted. The returned function removes
// the file, unless another process has written its own number in the meantime.
func writePID(path string) (remove func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	own := strconv.Itoa(os.Getpid())
	if err := durable.WriteFile(path, []byte(own+"\n"), 0o644); err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "the PID file %s cannot be written: %s; choose another path with --pid-file", path, cause(err))
	}
	return func() {
		if data, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(data)) == own {
			os.Remove(path) // what cannot be removed is overwritten by the next start
		}
	}, nil
}

// cause returns why an operation on a file failed, without the path.
func cause(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}

// drainTime is how long SIGQUIT lets sessions go on.
const drainTime = 10 * time.Minute
