package client_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/fault"
)

func TestAddressesWithoutAPortHaveThoseOfTheCluster(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		of        func(string) []string
		what      string
		addresses string
	}{
		{client.ProxyAddresses, "h", "h:3080 h:443"},
		{client.ProxyAddresses, "h:1", "h:1"},
		{client.ProxyAddresses, "::1", "[::1]:3080 [::1]:443"},
		{client.ProxyAddresses, "[::1]", "[::1]:3080 [::1]:443"},
		{client.AuthAddresses, "h", "h:3025 h:3080 h:443"},
		{client.AuthAddresses, "h:1", "h:1"},
	} {
		if got := strings.Join(test.of(test.what), " "); got != test.addresses {
			t.Errorf("%s is at %s, want %s", test.what, got, test.addresses)
		}
	}
}

func TestWhatIsNoAddressIsRefused(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"": "", "h": "", "h:1": "", "::1": "", "[::1]": "", "[::1]:1": "", "10.0.0.1:443": "", "proxy.example.com": "",
		"https://h:3080": "give host[:port] without https://",
		"http://x:1":     "give host[:port] without http://",
		"h:3080/web":     "give host[:port] without a path",
		"a:b:c":          "give host[:port]",
		"h:":             "give host[:port]",
		"h:https":        "give host[:port]",
	} {
		err := client.CheckAddress("--proxy", address)
		if (err == nil) != (want == "") || err != nil && (!fault.Is(err, fault.BadParameter) || !strings.HasSuffix(fault.Message(err), want)) {
			t.Errorf("%q: %v, want %q", address, err, want)
		}
	}
}

func TestFirstAnswerWaitsForNobodyElse(t *testing.T) {
	t.Parallel()
	got, err := client.FirstAnswer(t.Context(), []string{"silent", "wrong", "right"}, func(ctx context.Context, address string) error {
		switch address {
		case "silent":
			<-ctx.Done()
			return ctx.Err()
		case "wrong":
			return errors.New("no proxy")
		}
		return nil
	})
	if got != "right" || err != nil {
		t.Errorf("answered: %q, %v", got, err)
	}
}

func TestFirstAnswerTellsWhatWentWrongEverywhere(t *testing.T) {
	t.Parallel()
	var asked []string
	_, err := client.FirstAnswer(t.Context(), []string{"one", "two"}, func(_ context.Context, address string) error {
		return errors.New("at " + address)
	})
	for line := range strings.SplitSeq(err.Error(), "\n") {
		asked = append(asked, line)
	}
	if slices.Sort(asked); !slices.Equal(asked, []string{"at one", "at two"}) {
		t.Errorf("told %q", asked)
	}
}

func TestFirstAnswerBelievesWhoIsTooBusy(t *testing.T) {
	t.Parallel()
	busy := make(chan struct{})
	_, err := client.FirstAnswer(t.Context(), []string{"wrong", "busy"}, func(_ context.Context, address string) error {
		if address == "busy" {
			<-busy
			return fault.New(fault.LimitExceeded, "too many requests from your address")
		}
		defer close(busy)
		return fault.New(fault.ConnectionProblem, "nobody listens")
	})
	if !fault.Is(err, fault.LimitExceeded) || fault.Message(err) != "too many requests from your address" {
		t.Errorf("got %v", err)
	}
}
