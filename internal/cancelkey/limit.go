package cancelkey

import (
	"sync"
	"time"

	"sallyport/internal/peer"
)

const (
	perSecond   = 10
	answerWait  = 2 * time.Second // agents answer at once when they know a key
	guesses     = 3               // unknown keys that a source may show within guessWindow
	guessWindow = time.Minute
	penalty     = time.Minute
	maxSources  = 50_000 // what comes from more of them counts as one
	sweepEvery  = 10 * time.Second
)

// Limit bounds to ten a second how often each source may ask, and refuses for a minute whoever has shown three keys that
// nobody knows. It is safe for concurrent use.
type Limit struct {
	now func() time.Time

	mu      sync.Mutex
	sources map[string]*source // guarded by mu
	asked   map[ID]*source     // of requests that wait for an answer; guarded by mu
	swept   time.Time          // guarded by mu
}

// source is guarded by Limit.mu.
type source struct {
	second  int64
	count   int              // of requests in that second
	waiting map[ID]time.Time // requests whose key nobody has known yet, and when they came
	guessed []time.Time      // when requests came whose key nobody knew
	until   time.Time        // refused until
}

// NewLimit returns a limit that nobody has used yet.
func NewLimit(now func() time.Time) *Limit {
	return &Limit{now: now, sources: make(map[string]*source), asked: make(map[ID]*source)}
}

// Allow counts a request for which somebody stands, an address or a name, only as who passes it on, and reports whether that
// is within the limit.
func (l *Limit) Allow(somebody string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	return l.source(peer.Source(somebody), now).allow(now)
}

// Ask counts a request from the key's source and reports whether it is within the limits. Its key counts as a guess
// unless Known is called within two seconds.
func (l *Limit) Ask(key Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	src := l.source(key.Source(), now)
	l.settle(src, now)
	if now.Before(src.until) || !src.allow(now) {
		return false
	}
	src.waiting[key.Request], l.asked[key.Request] = now, src
	return true
}

// Known notes that somebody knows the key of a request, and reports whether that was waited for.
func (l *Limit) Known(request ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	src := l.asked[request]
	if src == nil {
		return false
	}
	delete(src.waiting, request)
	delete(l.asked, request)
	return true
}

// source returns the record of one. The caller holds mu.
func (l *Limit) source(name string, now time.Time) *source {
	if now.Sub(l.swept) >= sweepEvery {
		l.sweep(now)
	}
	if l.sources[name] == nil {
		if len(l.sources) >= maxSources {
			name = ""
		}
		if l.sources[name] == nil {
			l.sources[name] = &source{waiting: make(map[ID]time.Time)}
		}
	}
	return l.sources[name]
}

// sweep forgets sources of which nothing needs to be known any more. The caller holds mu.
func (l *Limit) sweep(now time.Time) {
	l.swept = now
	for name, src := range l.sources {
		l.settle(src, now)
		if src.second != now.Unix() && len(src.waiting) == 0 && len(src.guessed) == 0 && !now.Before(src.until) {
			delete(l.sources, name)
		}
	}
}

// settle counts requests that got no answer as guesses. The caller holds mu.
func (l *Limit) settle(src *source, now time.Time) {
	for request, came := range src.waiting {
		if now.Sub(came) >= answerWait {
			delete(src.waiting, request)
			delete(l.asked, request)
			src.guessed = append(src.guessed, came)
		}
	}
	recent := src.guessed[:0]
	for _, came := range src.guessed {
		if now.Sub(came) < guessWindow {
			recent = append(recent, came)
		}
	}
	if src.guessed = recent; len(recent) >= guesses {
		src.until, src.guessed = now.Add(penalty), nil
	}
}

// allow counts a request in this second.
func (s *source) allow(now time.Time) bool {
	if second := now.Unix(); second != s.second {
		s.second, s.count = second, 0
	}
	s.count++
	return s.count <= perSecond
}
