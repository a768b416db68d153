package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/client"
	"sallyport/internal/detour"
	"sallyport/internal/resource"
)

// TestThereIsNoCommandForClientsThatAreTurnedAway has a proxy say whether it takes clients that name no database in TLS, as those of
// MariaDB.
func TestThereIsNoCommandForClientsThatAreTurnedAway(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // without Oracle's client, which can name it
	t.Setenv("HOME", t.TempDir())
	for answer, refused := range map[string]bool{
		`{"proxy":{"db":{"mysql_public_addr":"127.0.0.1:1"}}}`:                         false,
		`{"proxy":{"db":{"mysql_public_addr":"127.0.0.1:1","end_to_end_only":false}}}`: false,
		`{"proxy":{"db":{"mysql_public_addr":"127.0.0.1:1","end_to_end_only":true}}}`:  true,
	} {
		proxy := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
		defer proxy.Close()
		login := loginTo(t, time.Now().Add(time.Hour), "shop", resource.ProtocolMySQL)
		home, err := client.OpenHome(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		address := strings.TrimPrefix(proxy.URL, "https://")
		who := &account{credentials: login, proxy: address, dialer: client.NewDialer(detour.Never, true), insecure: true, tsh: "tsh",
			profile: home.ForIdentity("x", address, login)}
		e, err := who.endpoint(t.Context(), login)
		if err != nil {
			t.Fatal(err)
		}
		cmd := &cobra.Command{}
		cmd.SetErr(io.Discard)
		cmd.SetContext(t.Context())
		program, _ := programOf("mysql")
		line, err := who.commandOf(cmd, &program, e, "shop")
		switch {
		case !refused && (err != nil || !strings.HasPrefix(line, "mariadb ")):
			t.Errorf("%s: %q, %v", answer, line, err)
		case refused && (err == nil || !strings.Contains(err.Error(), "this cluster takes end-to-end connections only, and mariadb cannot name the database in TLS; use tsh db connect shop")):
			t.Errorf("%s: %q, %v; want a refusal", answer, line, err)
		}
	}
}
