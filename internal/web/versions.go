package web

import (
	"io"
	"net/http"
	"path"
	"strings"
)

// channel answers what scripts ask that install programs on other hosts: which version fits this cluster, and whether that is
// urgent. All channels have the cluster's own version, for nothing updates itself.
func (h *Handler) channel(w http.ResponseWriter, r *http.Request) {
	name, question := path.Split(r.PathValue("question"))
	if name == "" || question != "version" && question != "critical" {
		http.NotFound(w, r)
		return
	}
	info, err := h.about(r)
	if err != nil {
		h.jsonError(w, err)
		return
	}
	answer := "no"
	if question == "version" {
		answer = "v" + strings.TrimPrefix(info.GetServerVersion(), "v")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, answer)
}
