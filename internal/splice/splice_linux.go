package splice

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	pipeSize = 256 << 10 // bytes asked for; the kernel may give less
	maxIdle  = 64        // pipes kept for reuse in the whole process
)

// pipe is a kernel buffer between two sockets.
type pipe struct{ r, w int }

func newPipe() (*pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("making pipe: %w", err)
	}
	// A smaller pipe only makes more steps.
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize)
	return &pipe{fds[0], fds[1]}, nil
}

func (p *pipe) close() {
	_ = unix.Close(p.r)
	_ = unix.Close(p.w)
}

// pipes are the idle ones, so that a session that waits holds none.
var pipes struct {
	mu   sync.Mutex
	idle []*pipe // guarded by mu; all empty
}

func takePipe() (*pipe, error) {
	pipes.mu.Lock()
	if n := len(pipes.idle); n > 0 {
		p := pipes.idle[n-1]
		pipes.idle = pipes.idle[:n-1]
		pipes.mu.Unlock()
		return p, nil
	}
	pipes.mu.Unlock()
	return newPipe()
}

// givePipe takes back an empty pipe.
func givePipe(p *pipe) {
	pipes.mu.Lock()
	if len(pipes.idle) < maxIdle {
		pipes.idle = append(pipes.idle, p)
		p = nil
	}
	pipes.mu.Unlock()
	if p != nil {
		p.close()
	}
}

// copyStream moves bytes inside the kernel when both ends are TCP sockets.
func copyStream(dst, src Conn) (int64, error) {
	to, ok1 := dst.(*net.TCPConn)
	from, ok2 := src.(*net.TCPConn)
	if !ok1 || !ok2 {
		return copyBuffered(dst, src)
	}
	in, err := from.SyscallConn()
	if err != nil {
		return 0, err
	}
	out, err := to.SyscallConn()
	if err != nil {
		return 0, err
	}
	var total int64
	for {
		n, p, err := fill(in)
		if n > 0 {
			err = errors.Join(err, drain(out, p, n))
			total += int64(n)
		}
		if err != nil {
			if p != nil {
				p.close() // it may hold bytes that nobody will read
			}
			if errors.Is(err, io.EOF) {
				return total, nil
			}
			return total, err
		}
		givePipe(p)
	}
}

// fill waits until the socket can be read and moves what is there into a pipe that it takes only then.
// At the end of the stream it returns io.EOF.
func fill(in syscall.RawConn) (n int, p *pipe, err error) {
	var failed error
	err = in.Read(func(fd uintptr) bool {
		if p == nil {
			if p, failed = takePipe(); failed != nil {
				return true
			}
		}
		for {
			var moved int64
			moved, failed = unix.Splice(int(fd), nil, p.w, nil, pipeSize, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
			if errors.Is(failed, unix.EINTR) {
				continue
			}
			if errors.Is(failed, unix.EAGAIN) {
				givePipe(p) // about to wait: an idle session holds no pipe
				p, failed = nil, nil
				return false
			}
			if n = int(moved); n == 0 && failed == nil {
				failed = io.EOF
			}
			return true
		}
	})
	return n, p, errors.Join(err, failed)
}

// drain writes n bytes of the pipe to the socket, waiting as long as the socket is full.
func drain(out syscall.RawConn, p *pipe, n int) error {
	var failed error
	err := out.Write(func(fd uintptr) bool {
		for n > 0 {
			moved, err := unix.Splice(p.r, nil, int(fd), nil, n, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
			switch {
			case errors.Is(err, unix.EINTR):
			case errors.Is(err, unix.EAGAIN):
				return false
			case err != nil:
				failed = err
				return true
			default:
				n -= int(moved)
			}
		}
		return true
	})
	return errors.Join(err, failed)
}
