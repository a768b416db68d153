// Package web is what the proxy serves over HTTPS: the pages that people see, and the part of the API
// that programs need before they have a certificate, which it passes on to the auth server.
package web

import (
	"embed"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"connectrpc.com/connect"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/authapi/sallyportv1/sallyportv1connect"
	"sallyport/internal/fault"
	"sallyport/internal/peer"
	"sallyport/internal/quota"
)

//go:embed templates/*.html static/*
var files embed.FS

// Config is what the pages are made of. All fields must be set unless stated.
type Config struct {
	Auth       *authapi.Client // as the proxy
	PublicAddr string          // host:port
	MySQLAddr  string          // host:port for clients of MySQL that do TLS themselves; empty without
	// EndToEndOnly says that clients are turned away for which the proxy would have to end TLS.
	EndToEndOnly bool
	Version      string
	// Strangers is how often one address may ask what anyone may know. How often it may try to get in is for auth to say.
	Strangers quota.Rate
	Now       func() time.Time
	Logger    *slog.Logger
}

// Handler serves pages and the public part of the API.
type Handler struct {
	cfg       Config
	questions *quota.Quota // by source
	templates *template.Template
	mux       *http.ServeMux
}

// New returns the handler.
func New(cfg Config) (*Handler, error) {
	templates, err := template.New("").Funcs(template.FuncMap{"sentence": sentence}).ParseFS(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	const sources = 100_000
	h := &Handler{
		cfg: cfg, questions: quota.New(quota.Config{Rate: cfg.Strangers, Keys: sources, Now: cfg.Now}),
		templates: templates, mux: http.NewServeMux(),
	}
	h.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/web/", http.StatusFound) })
	h.mux.HandleFunc("GET /web/{$}", h.home)
	h.mux.Handle("GET /web/static/", http.StripPrefix("/web/", http.FileServerFS(files)))
	h.mux.HandleFunc("GET /web/invite/{token}", h.showLink)
	h.mux.HandleFunc("POST /web/invite/{token}", h.acceptLink)
	h.mux.HandleFunc("GET /web/reset/{token}", h.showLink)
	h.mux.HandleFunc("POST /web/reset/{token}", h.acceptLink)
	h.mux.HandleFunc("GET /webapi/ping", h.ping)
	h.mux.HandleFunc("GET /webapi/ping/{connector}", h.ping)
	h.mux.HandleFunc("GET /webapi/find", h.ping)
	h.mux.HandleFunc("GET /webapi/automaticupgrades/channel/{question...}", h.channel)
	limits := connect.WithHandlerOptions(connect.WithReadMaxBytes(maxRequest), connect.WithCompression("gzip", nil, nil))
	h.mux.Handle(sallyportv1connect.NewLoginServiceHandler(publicLogin{auth: cfg.Auth}, limits))
	h.mux.Handle(sallyportv1connect.NewJoinServiceHandler(publicJoin{auth: cfg.Auth}, limits))
	h.mux.Handle(sallyportv1connect.NewClusterServiceHandler(publicCluster{auth: cfg.Auth, allow: h.allow}, limits))
	return h, nil
}

// maxRequest is what strangers may send, in bytes; nothing is unpacked for them.
const maxRequest = 64 << 10

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	// "/v1/webapi/..." is the same as "/webapi/...".
	if rest, ok := strings.CutPrefix(r.URL.Path, "/v1/"); ok && (strings.HasPrefix(rest, "webapi/") || strings.HasPrefix(rest, "web/")) {
		r.URL.Path = "/" + rest
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest+1<<10) // with the framing of the API's protocols
	r = r.WithContext(withClient(r.Context(), r.RemoteAddr, r.UserAgent()))
	h.mux.ServeHTTP(w, r)
}

// secure sets what every answer carries.
func secure(header http.Header) {
	header.Set("Content-Security-Policy", "default-src 'self'; script-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'")
	header.Set("Strict-Transport-Security", "max-age=31536000")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "strict-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
}

// allow counts a question of an address.
func (h *Handler) allow(address string) error {
	if !h.questions.Take(peer.Source(address)) {
		return fault.New(fault.LimitExceeded, "too many requests from your address; wait a few seconds and try again")
	}
	return nil
}

// about asks what cluster this is, on behalf of whoever sent the request.
func (h *Handler) about(r *http.Request) (*sallyportv1.PingResponse, error) {
	if err := h.allow(r.RemoteAddr); err != nil {
		return nil, err
	}
	return h.cfg.Auth.Cluster.Ping(r.Context(), &sallyportv1.PingRequest{})
}

// ping tells programs what cluster this is and where.
func (h *Handler) ping(w http.ResponseWriter, r *http.Request) {
	info, err := h.about(r)
	if err != nil {
		h.jsonError(w, err)
		return
	}
	db := map[string]any{"postgres_public_addr": h.cfg.PublicAddr}
	if h.cfg.MySQLAddr != "" {
		db["mysql_listen_addr"], db["mysql_public_addr"] = h.cfg.MySQLAddr, h.cfg.MySQLAddr
	}
	if h.cfg.EndToEndOnly {
		db["end_to_end_only"] = true
	}
	answer := map[string]any{
		"auth": map[string]any{
			"type": "local", "second_factor": info.GetSecondFactor(), "preferred_local_mfa": info.GetSecondFactor(),
			"local": map[string]any{"name": ""}, "has_motd": info.GetMessageOfTheDay() != "",
		},
		"proxy": map[string]any{
			"ssh":                 map[string]any{"public_addr": h.cfg.PublicAddr, "web_listen_addr": h.cfg.PublicAddr, "ssh_tunnel_public_addr": h.cfg.PublicAddr},
			"db":                  db,
			"tls_routing_enabled": true,
		},
		"server_version":     info.GetServerVersion(),
		"min_client_version": "0.1.0",
		"cluster_name":       info.GetClusterName(),
		"automatic_upgrades": false,
		"edition":            "oss",
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(answer)
}

func (h *Handler) jsonError(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if fault.Is(err, fault.LimitExceeded) { // RFC 6585, section 4
		w.Header().Set("Retry-After", strconv.Itoa(60/h.cfg.Strangers.PerMinute+1))
	}
	w.WriteHeader(fault.HTTPStatus(fault.KindOf(err)))
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"message": fault.Message(err)}})
}

// page renders a template, or says that it could not.
func (h *Handler) page(w http.ResponseWriter, status int, name string, data any) {
	var out strings.Builder
	if err := h.templates.ExecuteTemplate(&out, name, data); err != nil {
		h.cfg.Logger.Error("page failed", "page", name, "error", err)
		http.Error(w, fault.Message(nil), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(out.String()))
}

func (h *Handler) home(w http.ResponseWriter, r *http.Request) {
	info, err := h.about(r)
	if err != nil {
		h.page(w, fault.HTTPStatus(fault.KindOf(err)), "message.html", message{"Not available", fault.Message(err)})
		return
	}
	h.page(w, http.StatusOK, "home.html", map[string]string{"Cluster": info.GetClusterName(), "Addr": h.cfg.PublicAddr, "Version": h.cfg.Version})
}

// sentence writes what errors say as pages say it: with a capital letter and a full stop.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	text = string(unicode.ToUpper(first)) + text[size:]
	if !strings.ContainsAny(text[len(text)-1:], ".!?:") {
		text += "."
	}
	return text
}

// message is a page that only says something.
type message struct{ Title, Text string }
