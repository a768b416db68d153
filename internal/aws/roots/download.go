package roots

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// download gets the bundle and keeps it. The caller holds the token of loading.
func (s *Store) download(ctx context.Context, b *bundle) error {
	res, err := s.request(ctx, http.MethodGet, b.source.url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxBundle+1))
	if err != nil {
		return err
	}
	if len(data) > maxBundle {
		return fmt.Errorf("the answer is longer than %d bytes", maxBundle)
	}
	certs, err := Parse(data)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	b.set(certs, now, now)
	if err := s.keep(b, data, version(res, data)); err != nil {
		// The authorities are good; only the next start will have to download them again.
		s.cfg.Logger.Error("downloaded certificate authorities could not be kept", "dir", s.cfg.Dir, "error", err)
	}
	return nil
}

// version tells bundles apart: what the server calls it, or its hash.
func version(res *http.Response, data []byte) string {
	if tag := res.Header.Get("ETag"); tag != "" {
		return tag
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (s *Store) request(ctx context.Context, method, address string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		cancel()
		return nil, err
	}
	res.Body = &cancelled{res.Body, cancel}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return nil, fmt.Errorf("the server answered %s", res.Status)
	}
	return res, nil
}

// cancelled ends the time limit of a request with its body.
type cancelled struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (c *cancelled) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}

// reason says what went wrong without repeating the address.
func reason(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Err != nil {
		err = e.Err
	}
	return err.Error()
}

// Run compares the bundles in use with the published ones once a day until the context ends. A bundle that
// cannot be compared or downloaded goes on serving.
func (s *Store) Run(ctx context.Context) {
	for {
		timer := time.NewTimer(s.refresh(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// refresh brings up to date what is due and returns when to look again.
func (s *Store) refresh(ctx context.Context) time.Duration {
	s.mu.Lock()
	bundles := make([]*bundle, 0, len(s.bundles))
	for _, b := range s.bundles {
		bundles = append(bundles, b)
	}
	s.mu.Unlock()
	for _, b := range bundles {
		if err := s.refreshOne(ctx, b); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Warn("certificate authorities could not be compared with the published ones; the kept ones serve on",
				"url", b.source.url, "error", err)
		}
	}
	return retryEvery
}

func (s *Store) refreshOne(ctx context.Context, b *bundle) error {
	select {
	case b.loading <- struct{}{}:
		defer func() { <-b.loading }()
	case <-ctx.Done():
		return nil
	}
	b.mu.Lock()
	due := b.certs != nil && s.cfg.Now().Sub(b.checked) >= RefreshEvery
	b.mu.Unlock()
	if !due {
		return nil
	}
	current, err := s.current(ctx, b)
	if err != nil {
		return err
	}
	if !current {
		return s.download(ctx, b)
	}
	now := s.cfg.Now()
	b.mu.Lock()
	b.checked = now
	b.mu.Unlock()
	return os.Chtimes(s.path(b, ".version"), now, now)
}

// current asks whether the kept bundle is the published one, without downloading it.
func (s *Store) current(ctx context.Context, b *bundle) (bool, error) {
	kept, err := os.ReadFile(s.path(b, ".version"))
	if err != nil {
		return false, nil // never downloaded here: do so
	}
	res, err := s.request(ctx, http.MethodHead, b.source.url)
	if err != nil {
		return false, err
	}
	return string(kept) == res.Header.Get("ETag"), res.Body.Close()
}
