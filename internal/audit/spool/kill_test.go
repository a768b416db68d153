package spool_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"sallyport/internal/audit/spool"
)

// writerEnv makes the test binary a process that writes a spool until it is killed.
const writerEnv = "SPOOL_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		write(dir)
	}
	os.Exit(m.Run())
}

// write appends numbered records for ever and says so after each.
func write(dir string) {
	s, err := spool.Open(spool.Config{Dir: dir, SegmentSize: 64 << 10})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for n := 0; ; n++ {
		if _, err := s.Append(record(n)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if _, err := fmt.Println(n); err != nil {
			os.Exit(1)
		}
	}
}

func TestKilledProcessLosesNoRecord(t *testing.T) {
	t.Parallel()
	for round := range 8 {
		dir := t.TempDir()
		last := writeAndKill(t, dir, 50+rand.IntN(2000))
		s, err := spool.Open(spool.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		lines, damage := drain(t, adopted(t, s))
		if len(lines) <= last {
			t.Errorf("round %d: %d records of at least %d, damage %v", round, len(lines), last+1, damage)
		}
		for n, line := range lines {
			if !bytes.Equal(line, record(n)) {
				t.Fatalf("round %d: record %d is %q", round, n, line)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// writeAndKill has another process write at least count records and kills it without warning. It returns
// the number of the last record that the process said is stored.
func writeAndKill(t *testing.T, dir string, count int) (last int) {
	t.Helper()
	cmd, out := startWriter(t, dir)
	last = -1
	for out.Scan() {
		n, err := strconv.Atoi(out.Text())
		if err != nil {
			break // cut short by the kill
		}
		if last = n; n == count {
			cmd.Process.Kill() //nolint:errcheck // it runs
		}
	}
	cmd.Wait() //nolint:errcheck // it was killed
	if last < count {
		t.Fatalf("the writer ended after record %d", last)
	}
	return last
}

func startWriter(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() }) //nolint:errcheck // usually over
	return cmd, bufio.NewScanner(out)
}

func TestLiveProcessIsNotAdopted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, out := startWriter(t, dir)
	if !out.Scan() {
		t.Fatal("the writer did not start")
	}
	s := open(t, spool.Config{Dir: dir})
	if queues, err := s.Pending(); err != nil || len(queues) != 1 {
		t.Fatalf("%d queues while the other process lives, %v", len(queues), err)
	}
	cmd.Process.Kill() //nolint:errcheck // it runs
	for out.Scan() {
	}
	cmd.Wait() //nolint:errcheck // it was killed
	if lines, _ := drain(t, adopted(t, s)); len(lines) == 0 {
		t.Error("nothing of the dead process was found")
	}
}
