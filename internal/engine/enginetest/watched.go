package enginetest

import "sync"

// Watched is the part of a Server that is the same for all engines: what a test wants to see, or to have refused. It is
// embedded in a server of the engine, whose options ask it. It is safe for concurrent use.
type Watched struct {
	mu     sync.Mutex
	watch  func(string) // guarded by mu
	reject string       // guarded by mu
}

// Watch implements Server.
func (w *Watched) Watch(watch func(string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watch = watch
}

// Reject implements Server.
func (w *Watched) Reject(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reject = text
}

// Arrived tells the test of a command that has reached the server.
func (w *Watched) Arrived(command string) {
	w.mu.Lock()
	watch := w.watch
	w.mu.Unlock()
	if watch != nil {
		watch(command)
	}
}

// Rejection returns in which words the server is to refuse logins, or "".
func (w *Watched) Rejection() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reject
}
