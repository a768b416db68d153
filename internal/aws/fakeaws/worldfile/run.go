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
	if err := b.writeFiles(); err != nil {
		return err
	}
	listen := b.file.Listen
	server, err := b.World.Serve(ctx, fakeaws.Listeners{HTTP: listen.HTTP, HTTPS: listen.HTTPS, Metadata: b.listeners})
	if err != nil {
		return err
	}
	defer server.Stop()
	group, ctx := errgroup.WithContext(ctx)
	if listen.Verifier != "" {
		verifier, err := b.World.ListenVerifier(ctx, listen.Verifier)
		if err != nil {
			return err
		}
		group.Go(func() error { return verifier.Serve(ctx) })
		fmt.Fprintln(out, "verifier", listen.Verifier)
	}
	if listen.Control != "" {
		control, err := new(net.ListenConfig).Listen(ctx, "unix", listen.Control)
		if err != nil {
			return err
		}
		group.Go(func() error { return serveControl(ctx, control, b.World.Control()) })
		fmt.Fprintln(out, "control", listen.Control)
	}
	for _, address := range server.Addresses {
		fmt.Fprintln(out, "listening", address)
	}
	fmt.Fprintln(out, "ready")
	group.Go(func() error {
		<-ctx.Done()
		return nil
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
		if err := os.WriteFile(want.Hosts, []byte(b.hosts()), 0o644); err != nil {
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

func (b *Built) hosts() string {
	want := b.file.Write
	address := want.Address
	if address == "" {
		address = "127.0.0.1"
	}
	names := map[string]string{}
	for _, name := range b.World.HostNames(want.Regions...) {
		names[name] = address
	}
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
