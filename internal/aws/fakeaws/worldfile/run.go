package worldfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/aws/fakeaws"
)

// Run writes the files that are asked for, opens everything, prints one line "name value" for each address and "ready",
// and serves until ctx ends.
func (b *Built) Run(ctx context.Context, out io.Writer) error {
	return b.RunFor(ctx, func(ctx context.Context, opened []string) error {
		for _, line := range opened {
			fmt.Fprintln(out, line)
		}
		fmt.Fprintln(out, "ready")
		<-ctx.Done()
		return nil
	})
}

// RunFor is Run, but serves as long as a function does something with it. It is given what was opened, and ends with ctx or
// when something that serves fails.
func (b *Built) RunFor(ctx context.Context, use func(ctx context.Context, opened []string) error) error {
	if err := b.writeFiles(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	listen := b.file.Listen
	server, err := b.World.Serve(ctx, fakeaws.Listeners{HTTP: listen.HTTP, HTTPS: listen.HTTPS, Metadata: b.listeners})
	if err != nil {
		return err
	}
	defer server.Stop()
	var opened []string
	group, ctx := errgroup.WithContext(ctx)
	if listen.Verifier != "" {
		verifier, err := b.World.ListenVerifier(ctx, listen.Verifier)
		if err != nil {
			return err
		}
		group.Go(func() error { return verifier.Serve(ctx) })
		opened = append(opened, "verifier "+listen.Verifier)
	}
	if listen.Control != "" {
		control, err := new(net.ListenConfig).Listen(ctx, "unix", listen.Control)
		if err != nil {
			return err
		}
		group.Go(func() error { return serveControl(ctx, control, b.World.Control()) })
		opened = append(opened, "control "+listen.Control)
	}
	stop, addresses, err := b.startDatabases(ctx)
	defer stop()
	if err != nil {
		cancel()
		return errors.Join(err, group.Wait())
	}
	opened = append(opened, addresses...)
	for _, address := range server.Addresses {
		opened = append(opened, "listening "+address)
	}
	group.Go(func() error {
		defer cancel() // the rest is of no use any more
		return use(ctx, opened)
	})
	return group.Wait()
}

func serveControl(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // its listener is gone either way
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (b *Built) writeFiles() error {
	want := b.file.Write
	if want.Bundle != "" {
		if err := b.World.Authority().WriteBundle(want.Bundle); err != nil {
			return err
		}
	}
	if want.Identity != "" {
		certificate, err := b.World.IdentityCertificate()
		if err != nil {
			return err
		}
		if err := os.WriteFile(want.Identity, certificate, 0o644); err != nil {
			return err
		}
	}
	if want.Credentials != "" {
		if err := os.WriteFile(want.Credentials, []byte(b.credentials()), 0o600); err != nil {
			return err
		}
	}
	if want.Hosts != "" {
		if err := os.WriteFile(want.Hosts, []byte(b.Hosts()), 0o644); err != nil {
			return err
		}
	}
	for _, token := range b.tokens {
		if err := token(); err != nil {
			return err
		}
	}
	return nil
}

// Hosts is the hosts file that leads the names of this world to its addresses.
func (b *Built) Hosts() string {
	want := b.file.Write
	address := want.Address
	if address == "" {
		address = "127.0.0.1"
	}
	names := map[string]string{}
	for _, name := range b.World.HostNames(want.Regions...) {
		names[name] = address
	}
	maps.Copy(names, b.databaseNames())
	maps.Copy(names, want.Names)
	return fakeaws.Hosts(names)
}

// credentials is a shared credentials file: a profile for each user, named like the user (or account/user where two
// accounts have users of one name).
func (b *Built) credentials() string {
	count := map[string]int{}
	for name := range b.Keys {
		_, user, _ := strings.Cut(name, "/")
		count[user]++
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(b.Keys)) {
		_, user, _ := strings.Cut(name, "/")
		if count[user] > 1 {
			user = name
		}
		keys := b.Keys[name]
		fmt.Fprintf(&text, "[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n\n", user, keys.AccessKeyID, keys.SecretAccessKey)
	}
	return text.String()
}
