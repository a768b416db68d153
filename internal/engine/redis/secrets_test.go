package redis_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/redisserver"
)

func TestSecretsAreNotRecorded(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	for command, want := range map[string]string{
		"AUTH hunter2":                                        "AUTH ****",
		"AUTH default hunter2":                                "AUTH default ****",
		"AUTH a hunter2 hunter2":                              "AUTH **** **** ****",
		"HELLO 3 AUTH default hunter2":                        "HELLO 3 AUTH default ****",
		"hello 3 setname auth AUTH default hunter2 setname x": "hello 3 setname auth AUTH default **** setname x",
		"HELLO 3 SETNAME x AUTH hunter2":                      "HELLO 3 **** **** **** ****",
		"CONFIG SET maxmemory 0 requirepass hunter2 hz 10 masterauth hunter2": "CONFIG SET maxmemory 0 requirepass **** hz 10 masterauth ****",
		"ACL SETUSER eve on >hunter2 #hunter2 <hunter2 !hunter2 ~* +@all":     "ACL SETUSER eve on >**** #**** <**** !**** ~* +@all",
		"MIGRATE 127.0.0.1 1 auth 0 100 COPY AUTH hunter2":                    "MIGRATE 127.0.0.1 1 auth 0 100 COPY AUTH ****",
		"MIGRATE 127.0.0.1 1 \"\" 0 100 AUTH2 eve hunter2 KEYS auth x":        `MIGRATE 127.0.0.1 1 "" 0 100 AUTH2 eve **** KEYS auth x`,
		"Auth default hunter2":                             "Auth default ****",
		"cOnFiG sEt RequirePass hunter2":                   "cOnFiG sEt RequirePass ****",
		"SENTINEL SET mymaster quorum 2 auth-pass hunter2": "SENTINEL SET mymaster quorum 2 auth-pass ****",
		"SENTINEL CONFIG SET sentinel-pass hunter2":        "SENTINEL CONFIG SET sentinel-pass ****",
		"CONFIG SET hz requirepass hunter2":                "CONFIG SET hz requirepass ****",
		"CONFIG requirepass hunter2":                       "CONFIG requirepass ****",
		"ACL SETUSER >hunter2":                             "ACL SETUSER >****",
		"ACL SETUSER u (>hunter2)":                         "ACL SETUSER u ****",
		"ACL DRYRUN AUTH default hunter2":                  "ACL DRYRUN AUTH default ****",
		"MIGRATE 127.0.0.1 1 k 0 AUTH hunter2":             "MIGRATE 127.0.0.1 1 k 0 AUTH ****",
		"MIGRATE 127.0.0.1 1 AUTH hunter2":                 "MIGRATE 127.0.0.1 1 AUTH ****",
		"MIGRATE 127.0.0.1 1 k 0 10 KEYS AUTH hunter2":     "MIGRATE 127.0.0.1 1 k 0 10 KEYS AUTH ****",
		"SENTINEL SET m x auth-pass hunter2":               "SENTINEL SET m x auth-pass ****",
		"COMMAND GETKEYS AUTH default hunter2":             "COMMAND GETKEYS AUTH default ****",
		`"AUTH alice hunter2"`:                             "AUTH****",
		`"CONFIG SET requirepass hunter2"`:                 "CONFIG****",
		`"AUTH " hunter2`:                                  "AUTH**** ****",
		`"ACL SETUSER bob on >hunter2"`:                    "ACL****",
		`CONFIG "SET requirepass hunter2"`:                 "CONFIG ****",
		"CONFIG SET requirepass=hunter2":                   "CONFIG SET ****",
		"ACL SETUSR bob >hunter2":                          "ACL SETUSR bob >****",
		"ACL >hunter2":                                     "ACL >****",
		"ACL LOAD SETUSER bob >hunter2":                    "ACL LOAD SETUSER bob >****",
		"ACL SETUSER bob on > hunter2":                     "ACL SETUSER bob on >**** ****",
		`CLIENT "AUTH hunter2" hunter2`:                    "CLIENT **** ****",
		"CLIENT AUTH hunter2":                              "CLIENT AUTH ****",
		"DEBUG CONFIG requirepass hunter2":                 "DEBUG CONFIG requirepass ****",
		"MODULE LOAD /x hunter2":                           "MODULE LOAD /x ****",
		"SETUSER bob >hunter2":                             "SETUSER bob >****",
		"MODULE LOADEX /x CONFIG p hunter2":                "MODULE LOADEX /x CONFIG **** ****",
		`'"AUTH default hunter2'`:                          "****",
		"ECHO ****":                                        `ECHO "****"`,
	} {
		t.Run(command, func(t *testing.T) {
			r := behind(t, s, "default", func(cfg *enginetest.Config) { cfg.Roles = []string{everything} })
			c := r.raw(t)
			if strings.Contains(command, `"`) {
				fmt.Fprintf(c, "PING\r\n%s\r\nPING\r\n", command)
			} else {
				c.say(t, "PING", command, "PING")
			}
			for answers := 0; answers < 2; {
				if line := c.line(t); line == "+PONG" {
					answers++
				}
			}
			v := closed(t, r, c)
			if got := queries(v, "db.session.query", "db.session.query.failed"); !slices.Contains(got, want) {
				t.Errorf("recorded %q", got)
			}
			for _, line := range v.Journal.Lines() {
				if strings.Contains(string(line), "hunter2") {
					t.Errorf("the record has %s", line)
				}
			}
			s.Do(t, "CONFIG", "SET", "requirepass", "", "masterauth", "")
		})
	}
}

// TestSecretsAreFoundInTime that does not grow faster than the command: each takes moments, and would otherwise take many
// times as long as it gets.
func TestSecretsAreFoundInTime(t *testing.T) {
	t.Parallel()
	for _, repeated := range []string{
		"AUTH", "HELLO", "HELLO 3 AUTH", "CONFIG", "CONFIG SET requirepass", "CONFIG SET xrequirepass", "ACL", "ACL SETUSER u >", "ACL SETUSER (>)", "ACL DRYRUN",
		"ACL DRYRUN CLIENT", "ACL DRYRUN ACL", "ACL DRYRUN u COMMAND", "CLIENT", "DEBUG", "MODULE", "MODULE LOADEX CONFIG", "COMMAND", "COMMAND GETKEYS", "MIGRATE", "MIGRATE AUTH", "MIGRATE AUTH2",
		"SENTINEL", "SENTINEL auth-pass", "CLIENT ACL DRYRUN DEBUG COMMAND x MIGRATE",
	} {
		words := bytes.Fields([]byte(repeated))
		args := slices.Repeat(words, resp.MaxArguments/len(words))
		args[len(args)-1] = []byte("hunter2")
		record := make(chan string, 1)
		go func() { record <- redis.Record(args) }()
		select {
		case got := <-record:
			if first, _, _ := strings.Cut(got, " "); first != string(words[0]) {
				t.Errorf("%s is recorded as %s", repeated, first)
			}
		case <-time.After(enginetest.Patience):
			t.Fatalf("%s is not recorded in time", repeated)
		}
	}
	if got := redis.Record([][]byte{[]byte("AUTH " + strings.Repeat("x", 1<<20))}); got != "AUTH****" {
		t.Errorf("a long command in place of a name is recorded as %d bytes", len(got))
	}
}
