package fakeaws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Server is a running set of listeners.
type Server struct {
	cancel  context.CancelFunc
	servers []*http.Server
	wg      sync.WaitGroup
	URL     string // of the first listener, for AWS_ENDPOINT_URL
	// Addresses are the URLs of all listeners: HTTPS, HTTP, others, each in the order given.
	Addresses []string
}

// Listeners says where a Server listens. Each list may be empty.
type Listeners struct {
	HTTPS    []string // the APIs, with certificates of this world's authority
	HTTP     []string // the same in the clear
	Metadata []MetadataListener
}

// MetadataListener serves some other handler (instance metadata, container credentials, an OIDC issuer) on an address.
type MetadataListener struct {
	Address string
	TLS     bool
	Handler http.Handler
}

// Start serves the APIs on a loopback port in the clear. Stop ends it; so does the end of ctx.
func (w *World) Start(ctx context.Context) (*Server, error) {
	return w.Serve(ctx, Listeners{HTTP: []string{"127.0.0.1:0"}})
}

// Serve opens listeners and serves until Stop or the end of ctx.
func (w *World) Serve(ctx context.Context, l Listeners) (*Server, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &Server{cancel: cancel}
	all := make([]MetadataListener, 0, len(l.HTTP)+len(l.HTTPS)+len(l.Metadata))
	for _, address := range l.HTTPS {
		all = append(all, MetadataListener{address, true, w})
	}
	for _, address := range l.HTTP {
		all = append(all, MetadataListener{address, false, w})
	}
	all = append(all, l.Metadata...)
	for _, one := range all {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", one.Address)
		if err != nil {
			s.close()
			s.Stop()
			return nil, fmt.Errorf("listening for the local AWS: %w", err)
		}
		url := map[bool]string{true: "https://", false: "http://"}[one.TLS] + listener.Addr().String()
		s.Addresses = append(s.Addresses, url)
		s.URL = s.Addresses[0]
		s.serve(ctx, w, listener, one)
	}
	s.wg.Go(func() { // the end of ctx ends the servers, and all calls that hang
		<-ctx.Done()
		s.close()
	})
	return s, nil
}

func (s *Server) close() {
	for _, server := range s.servers {
		_ = server.Close() // its listener is gone either way
	}
}

func (s *Server) serve(ctx context.Context, w *World, listener net.Listener, l MetadataListener) {
	server := &http.Server{Handler: l.Handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(discard{}, "", 0),
		BaseContext: func(net.Listener) context.Context { return ctx }}
	if l.TLS {
		listener = tls.NewListener(listener, &tls.Config{GetCertificate: w.authority.GetCertificate, NextProtos: []string{"http/1.1"}})
	}
	s.servers = append(s.servers, server)
	s.wg.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.cancel() // half a cloud is of no use
		}
	})
}

// Stop closes all listeners and connections and waits.
func (s *Server) Stop() {
	s.cancel()
	s.wg.Wait()
}

// discard drops what http.Server would log about clients that hang up.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// Hosts is the content of a hosts file that leads names to addresses, for use inside a mount namespace.
func Hosts(addresses map[string]string) string {
	lines := []string{"127.0.0.1 localhost", "::1 localhost"}
	for name, address := range addresses {
		lines = append(lines, address+" "+name)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// HostNames lists the names under which clients look for the world's services in some regions, to be put in a hosts file.
func (w *World) HostNames(regions ...string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, s := range w.services {
		labels := s.Hosts
		if len(labels) == 0 {
			labels = []string{s.Scope}
		}
		for _, label := range labels {
			for _, region := range regions {
				suffix := map[bool]string{true: ".amazonaws.com.cn", false: ".amazonaws.com"}[PartitionOf(region) == "aws-cn"]
				names = append(names, label+"."+region+suffix, label+"-fips."+region+suffix)
				if s.Global {
					names = append(names, globalName(label, region)+suffix)
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func globalName(label, region string) string {
	switch PartitionOf(region) {
	case "aws-us-gov":
		return label + ".us-gov"
	case "aws-cn":
		return label + ".cn-north-1"
	}
	return label
}
