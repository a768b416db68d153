// Package timerslack lets the kernel wake a process for its timers less exactly.
//
// The Go runtime's monitor sleeps for 20 microseconds at a time while goroutines come and go, as they do in a
// process that passes small messages on. With the usual slack of 50 microseconds that makes some 14,000 wake-ups a
// second in each process, a quarter of its time on a small machine. With a slack of a millisecond they are few.
package timerslack

import "time"

// Enough is the slack that Raise asks for. Nothing here needs a timer to be more exact.
const Enough = time.Millisecond
