package redis_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis/redistest"
	"sallyport/internal/engine/redis/resp"
)

// BenchmarkGet measures commands and their answers through the engine, which reaches a small server over TLS: one after the
// other, and in pipelines. An operation is one command.
func BenchmarkGet(b *testing.B) {
	for _, depth := range []int{1, 16} {
		b.Run(fmt.Sprintf("pipeline of %d", depth), func(b *testing.B) {
			s := redistest.Start(b, func(args []string) []byte {
				if args[0] == "GET" {
					return resp.AppendBulk(nil, "xxx")
				}
				return resp.AppendSimple(nil, "OK")
			})
			r := &real{agent: enginetest.Start(b, enginetest.Config{
				Engine: newEngine(), Database: enginetest.NewDatabase(b, "redis", s.Addr, s.Authority.CertPEM()),
				Credentials: enginetest.Given(cred.Credential{Certificate: &tls.Certificate{}}),
			})}
			c := r.raw(b)
			c.say(b, "SET k xxx")
			c.hear(b, "+OK\n")
			r.agent.Visit(b, 0).Journal.Forget()
			command := strings.Repeat("*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n", depth)
			answer := make([]byte, len("$3\r\nxxx\r\n")*depth)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += depth {
				if _, err := io.WriteString(c, command); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c.r, answer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
