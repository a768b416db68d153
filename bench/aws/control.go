package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// control asks the local AWS what it was asked, and has it be slow.
type control struct{ client *http.Client }

func newControl(socket string) control {
	return control{&http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}}
}

// entry is a call in the journal.
type entry struct {
	Time               time.Time
	Service, Operation string
	Error              string
}

func (c control) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://control"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, res.Status, text)
	}
	return text, err
}

// journal returns the calls since the journal was forgotten. Logins, which the verifier judges, are none.
func (c control) journal(ctx context.Context) (calls []entry, logins int, err error) {
	text, err := c.do(ctx, http.MethodGet, "/journal", nil)
	if err != nil {
		return nil, 0, err
	}
	var all []entry
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, 0, err
	}
	for _, e := range all {
		if e.Operation == "connect" {
			logins++
		} else {
			calls = append(calls, e)
		}
	}
	return calls, logins, nil
}

func (c control) forget(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodDelete, "/journal", nil)
	return err
}

// slow has every call take longer from now on.
func (c control) slow(ctx context.Context, by time.Duration) error {
	body, err := json.Marshal(map[string]any{"Kind": "delay", "Delay": by})
	if err == nil {
		_, err = c.do(ctx, http.MethodPost, "/faults", body)
	}
	return err
}
