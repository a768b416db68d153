package clustertest_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"sallyport/internal/clustertest"
)

// TestTheKernelCopiesBehindABalancerAtLayerFour looks at how the bytes of a session that is open go through the proxy. Not
// parallel: other tests have sessions too.
func TestTheKernelCopiesBehindABalancerAtLayerFour(t *testing.T) {
	s := behindForwarder(t, 2)
	works(t, s.from(t, s.Proxy, "127.0.0.5"))
	clustertest.Eventually(t, "copying in the kernel", func() error {
		stacks := make([]byte, 4<<20)
		copying := 0
		for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			switch {
			case strings.Contains(stack, "splice.fill("):
				copying++
			case strings.Contains(stack, "splice.oneWay(") && strings.Contains(stack, "splice.copyBuffered("):
				return errors.New(stack)
			}
		}
		if copying < 2 {
			return errors.New("nothing is copied")
		}
		return nil
	})
}
