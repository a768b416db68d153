package timerslack

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// again is set in the environment of a program that Raise has started anew.
const again = "SALLYPORT_TIMER_SLACK_RAISED"

// Raise starts the running program anew, in the same process and with the same arguments, with more slack for its
// timers, unless it has that already. The slack belongs to threads, which hand it on to those that they make, and
// the runtime's monitor is made before any of our code runs: hence the new start. It must be called before
// anything is opened or read. It returns when there is nothing to do or when this system does not allow it: then
// the program is a little slower.
func Raise() {
	if _, raised := os.LookupEnv(again); raised {
		_ = os.Unsetenv(again)
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || int64(before) >= int64(Enough) {
		return
	}
	if unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(Enough), 0, 0, 0) != nil {
		return
	}
	// By its path, from which the kernel takes the name that ps and pgrep know.
	if program, err := os.Executable(); err == nil {
		_ = syscall.Exec(program, os.Args, append(os.Environ(), again+"=1"))
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(before), 0, 0, 0)
}
