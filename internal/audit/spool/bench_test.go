package spool_test

import (
	"context"
	"testing"

	"sallyport/internal/audit/spool"
)

func BenchmarkAppend500(b *testing.B) {
	s := open(b, spool.Config{Dir: b.TempDir(), Limit: 1 << 40})
	line := make([]byte, 500)
	q := own(b, s)
	b.SetBytes(500)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := s.Append(line); err != nil {
			b.Fatal(err)
		}
		if n++; n%500_000 == 0 { // keep the disk from filling
			b.StopTimer()
			drain(b, q)
			b.StartTimer()
		}
	}
}

func BenchmarkAppendSyncParallel(b *testing.B) {
	s := open(b, spool.Config{Dir: b.TempDir(), Limit: 1 << 40})
	line := make([]byte, 500)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			pos, err := s.Append(line)
			if err == nil {
				err = s.Sync(context.Background(), pos)
			}
			if err != nil {
				b.Error(err)
			}
		}
	})
}
