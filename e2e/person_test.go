//go:build linux

package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/rogpeppe/go-internal/testscript"
)

// step is how many seconds there are between two one-time codes. The server takes those of its present step and of the one before
// and after it, and none twice.
const step = 30

var secretOnPage = regexp.MustCompile(`<code id="secret">([A-Z2-7 ]+)</code>`)

// accept does what a person does with an invite link in a browser: accept NAME LINK PASSWORD [ADDRESS]. The
// certificate that the page must have is in the file $SSL_CERT_FILE; without, any will do. ADDRESS is
// where to find the link's host. It sets NAME_SECRET and NAME_STEP for the command totp.
func accept(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: accept NAME LINK PASSWORD [ADDRESS]")
	}
	name, link, password := args[0], args[1], args[2]
	browser := newBrowser(ts, args[3:])
	page := visit(ts, browser, http.MethodGet, link, nil)
	found := secretOnPage.FindStringSubmatch(page)
	if found == nil {
		ts.Fatalf("the page shows no secret:\n%s", page)
	}
	if !strings.Contains(page, `src="data:image/png;base64,`) {
		ts.Fatalf("the page shows no QR code:\n%s", page)
	}
	secret := strings.ReplaceAll(found[1], " ", "")
	now := time.Now()
	code, err := totp.GenerateCode(secret, now)
	ts.Check(err)
	page = visit(ts, browser, http.MethodPost, link, url.Values{"password": {password}, "repeated": {password}, "code": {code}})
	if strings.Contains(page, "problem") {
		ts.Fatalf("the form was not accepted:\n%s", page)
	}
	ts.Setenv(name+"_SECRET", secret)
	ts.Setenv(name+"_STEP", strconv.FormatInt(now.Unix()/step, 10))
}

func newBrowser(ts *testscript.TestScript, addresses []string) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{}, DisableKeepAlives: true}
	if path := ts.Getenv("SSL_CERT_FILE"); path != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(ts.ReadFile(path))) {
			ts.Fatalf("%s holds no certificate", path)
		}
		transport.TLSClientConfig.RootCAs = pool
	} else {
		transport.TLSClientConfig.InsecureSkipVerify = true
	}
	if len(addresses) == 1 {
		namespace := ""
		if pid := ts.Getenv("CLOUD"); pid != "" {
			namespace = "/proc/" + pid + "/ns/net"
		}
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialIn(ctx, namespace, network, addresses[0])
		}
	}
	return &http.Client{Transport: transport, Timeout: patience}
}

func visit(ts *testscript.TestScript, browser *http.Client, method, link string, form url.Values) string {
	req, err := http.NewRequest(method, link, strings.NewReader(form.Encode()))
	ts.Check(err)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", "https://"+req.URL.Host)
	}
	res, err := browser.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	if res.StatusCode != http.StatusOK {
		ts.Fatalf("%s %s: %s\n%s", method, link, res.Status, body)
	}
	return html.UnescapeString(string(body))
}

// totpCode writes the next code of a person who has accepted a link into a file, after a password: totp NAME PASSWORD FILE. There
// is at least three quarters of a minute to use it; it waits if the person has used too many.
func totpCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: totp NAME PASSWORD FILE")
	}
	used, err := strconv.ParseInt(ts.Getenv(args[0]+"_STEP"), 10, 64)
	ts.Check(err)
	next := max(used+1, time.Now().Add(step/2*time.Second).Unix()/step)
	time.Sleep(time.Until(time.Unix((next-1)*step, 0))) // when the server begins to take it
	code, err := totp.GenerateCode(ts.Getenv(args[0]+"_SECRET"), time.Unix(next*step, 0))
	ts.Check(err)
	ts.Setenv(args[0]+"_STEP", strconv.FormatInt(next, 10))
	ts.Setenv("CODE", code)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), fmt.Appendf(nil, "%s\n%s\n", args[1], code), 0o600))
}
