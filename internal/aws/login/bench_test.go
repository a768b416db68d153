package login_test

import (
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/login"
	"sallyport/internal/aws/roots"
	"sallyport/internal/resource"
)

// BenchmarkToken is what a token adds to each connection: with the keys of signatures that a Source keeps, and
// without, as for the first connection of a day.
func BenchmarkToken(b *testing.B) {
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-west-1"} {
		if err := os.Setenv(name, value); err != nil {
			b.Fatal(err)
		}
	}
	db := database(b, instance, func(a *resource.AWS) { a.RDS.InstanceID = "orders" })
	db.Spec.TLS.CACert = "given"
	newSource := func() *login.Source {
		return login.New(login.Config{
			Credentials: credentials.New(credentials.Config{SessionName: "bench", Logger: slog.New(slog.DiscardHandler), Now: time.Now}),
			Roots:       roots.New(roots.Config{Dir: b.TempDir(), Client: http.DefaultClient, Logger: slog.New(slog.DiscardHandler), Now: time.Now}),
			Now:         time.Now,
		})
	}
	req := request(db, "reader")
	b.Run("kept", func(b *testing.B) {
		source := newSource()
		for b.Loop() {
			if _, err := source.Credential(b.Context(), req); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			if _, err := newSource().Credential(b.Context(), req); err != nil {
				b.Fatal(err)
			}
		}
	})
}
