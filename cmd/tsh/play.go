package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/terminal"
)

func playCommand(g *global) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "play SESSION",
		Short: "Replay a session from the audit log: its statements and how they ended",
		Long: `Replay a session: for people, or with --format=json as its events. SESSION is the sid of the session's events, or a
file of events that was saved before. Results of queries are not recorded and not shown.`,
		Example: "  tsh play --format json 307b49d6-56c7-4d20-8cf0-5bc5348a7101",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			player := &player{out: cmd.OutOrStdout(), format: format}
			file, err := os.Open(args[0])
			if err == nil {
				defer file.Close()
				return player.playFile(file)
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return fault.Wrap(fault.BadParameter, err, "%s cannot be read", args[0])
			}
			return playSession(cmd.Context(), g, player, args[0])
		},
	}
	terminal.FormatFlag(cmd, &format, "f", "output `format`: text, json or yaml", "text", "json", "yaml")
	return cmd
}

func playSession(ctx context.Context, g *global, p *player, sid string) error {
	who, err := g.account()
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

func (p *player) playFile(file io.Reader) error {
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 1 {
			if err := p.event(line); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.Wrap(fault.BadParameter, err, "the file cannot be read")
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
