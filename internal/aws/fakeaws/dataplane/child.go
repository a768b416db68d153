package dataplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// child is a program that ends with this one.
type child struct {
	alive  io.Closer // the program ends when it is closed
	exited chan struct{}

	mu  sync.Mutex // guards log
	log bytes.Buffer
}

// Write adds to the log.
func (c *child) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(b)
}

func (c *child) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.String()
}

// startChild starts a program and returns when it is ready.
func startChild(ctx context.Context, ready func() bool, program string, arguments ...string) (*child, error) {
	c := &child{exited: make(chan struct{})}
	cmd := exec.Command("sh", append([]string{"-c", keeper, "sh", program}, arguments...)...)
	cmd.Stdout, cmd.Stderr = c, c
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	c.alive = alive
	go func() { // ends with the program; stop waits for it
		defer close(c.exited)
		_ = cmd.Wait() // how it ended is in the log
	}()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for {
		select {
		case <-look.C:
			if ready() {
				return c, nil
			}
			continue
		case <-late.C:
		case <-c.exited:
		case <-ctx.Done():
		}
		c.stop()
		return nil, errors.Join(ctx.Err(), fmt.Errorf("%s does not start; its log:\n%s", program, c.text()))
	}
}

func (c *child) stop() {
	_ = c.alive.Close() // makes the program end
	<-c.exited
}
