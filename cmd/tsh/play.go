package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

func playCommand(g *global) *cobra.Command {
	var format, speed string
	var skipIdle bool
	cmd := &cobra.Command{
		Use:   "play SESSION",
		Short: "Replay a session from the audit log: its statements and how they ended",
		Long: `Replay a session: for people, or with --format=json as its events. SESSION is the sid of the session's events, or a
file of events that was saved before. Results of queries are not recorded and not shown. JSON is laid out for people; as they are
stored, one on each line, "tctl audit ls --session=SESSION --ascending --format=json" prints the events.`,
		Example: "  tsh play --format json 307b49d6-56c7-4d20-8cf0-5bc5348a7101",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := terminal.CheckChoice("--speed", speed, speeds...); err != nil {
				return err
			}
			if format == "pty" {
				format = "text"
			}
			player := &player{out: cmd.OutOrStdout(), format: format}
			file, err := os.Open(args[0])
			if err == nil {
				defer file.Close()
				return player.playFile(file)
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return fault.Wrap(fault.BadParameter, err, "%s cannot be read: %s", args[0], fault.Reason(err))
			}
			if strings.ContainsRune(args[0], filepath.Separator) {
				return fault.New(fault.NotFound, "there is no file %s; give the sid of a session, or a file that tsh play --format=json has written", args[0])
			}
			return playSession(cmd.Context(), g, player, args[0])
		},
	}
	terminal.FormatFlag(cmd, &format, "f", "output `format`: text, json or yaml; pty is another word for text", "text", "json", "yaml", "pty")
	cmd.Flags().StringVar(&speed, "speed", "1x", "accepted, without effect: `speed`, from 0.5x to 8x; statements are shown at once")
	cmd.Flags().BoolVar(&skipIdle, "skip-idle-time", false, "accepted, without effect: idle time is always skipped")
	terminal.Choices(cmd, "speed", speeds...)
	g.clusterFlag(cmd)
	return cmd
}

var speeds = []string{"0.5x", "1x", "2x", "4x", "8x"}

func playSession(ctx context.Context, g *global, p *player, sid string) error {
	who, err := g.account(ctx)
	if err != nil {
		return err
	}
	api := who.api()
	defer api.Close()
	stream, err := api.Audit.ReadSession(ctx, &sallyportv1.ReadSessionRequest{SessionId: sid, Format: p.format})
	if err != nil {
		return err
	}
	defer stream.Close()
	for stream.Receive() {
		if err := p.event(stream.Msg().GetEvent()); err != nil {
			return err
		}
	}
	return stream.Err()
}

// player prints the events of a session.
type player struct {
	out    io.Writer
	format string
	text   playback
}

// playFile reads events one after the other, each on a line of its own or over several as this command prints
// them.
func (p *player) playFile(file io.Reader) error {
	events := json.NewDecoder(file)
	for number := 1; ; number++ {
		var event json.RawMessage
		err := events.Decode(&event)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.Wrap(fault.BadParameter, err, "event %d of the file cannot be read; play a file that tsh play --format=json has written", number)
		}
		if err := p.event(event); err != nil {
			return err
		}
	}
}

func (p *player) event(line []byte) error {
	if p.format != "text" {
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber() // numbers stay as they were recorded
		var event map[string]any
		if err := decoder.Decode(&event); err != nil {
			return fault.Wrap(fault.BadParameter, err, "this is no event of a session")
		}
		if err := terminal.Encode(p.out, p.format, event); err != nil {
			return err
		}
		if p.format == "yaml" {
			_, err := fmt.Fprintln(p.out, "---")
			return err
		}
		return nil
	}
	return p.text.event(p.out, line)
}
