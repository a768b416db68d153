package fakeaws

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Control is an API for whoever started this world in another process: GET /journal, DELETE /journal, GET /secrets,
// POST /faults (a Fault), DELETE /faults (all of them), GET /bundle. It asks for no permission: serve it on a unix socket only.
func (w *World) Control() http.Handler {
	mux := http.NewServeMux()
	answer := func(out http.ResponseWriter, value any) {
		out.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(out).Encode(value) // a client that went away has no use for it
	}
	mux.HandleFunc("GET /journal", func(out http.ResponseWriter, _ *http.Request) { answer(out, w.Journal()) })
	mux.HandleFunc("DELETE /journal", func(http.ResponseWriter, *http.Request) { w.ForgetJournal() })
	mux.HandleFunc("GET /secrets", func(out http.ResponseWriter, _ *http.Request) { answer(out, w.Secrets()) })
	mux.HandleFunc("GET /bundle", func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write(w.authority.PEM()) })
	mux.HandleFunc("POST /faults", func(out http.ResponseWriter, r *http.Request) {
		var f Fault
		d := json.NewDecoder(http.MaxBytesReader(out, r.Body, maxBody))
		d.DisallowUnknownFields()
		if err := errors.Join(d.Decode(&f), f.check()); err != nil {
			http.Error(out, err.Error(), http.StatusBadRequest)
			return
		}
		w.Inject(f)
	})
	mux.HandleFunc("DELETE /faults", func(http.ResponseWriter, *http.Request) {
		w.Update(func() { w.faults = nil })
	})
	return mux
}

// check refuses a kind that does not exist, which would let a test pass that injects nothing.
func (f Fault) check() error {
	switch f.Kind {
	case Throttle, ServerError, Unavailable, Garbage, Hang, Cut, Delay, Denied, EmptyPage, DuplicateToken:
		return nil
	case Rate:
		if f.PerSecond > 0 {
			return nil
		}
	case Custom:
		if f.Error != nil {
			return nil
		}
	}
	return fmt.Errorf("no such kind of fault, or a field of it is missing: %q", f.Kind)
}
