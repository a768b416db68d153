package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// redis is a Redis, redis-benchmark and redis-cli. They speak TLS themselves: there is no local proxy on the way.
type redis struct{ w *world }

const redisLarge = 100_000_000 // bytes of a large value

func (r redis) protocol() string { return "redis" }
func (r redis) account() string  { return "default" }
func (r redis) name() string     { return "0" }

func (r redis) socket() string { return r.w.Path("redis/socket") }

func (r redis) version() string {
	out, err := exec.Command("redis-cli", "-s", r.socket(), "info", "server").Output()
	if err != nil {
		return "Redis"
	}
	return "Redis " + strings.TrimPrefix(regexp.MustCompile(`redis_version:[0-9.]+`).FindString(string(out)), "redis_version:")
}

func (r redis) start(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, filepath.Join(r.w.Root, "scripts/redis"), "start", r.w.Path("redis"), r.w.port,
		r.w.Path("spread.crt"), r.w.Path("spread.key"), r.w.Path("trusted.cas"), r.account()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("starting Redis: %w: %s", err, out)
	}
	return nil
}

func (r redis) stop() {
	_ = exec.Command(filepath.Join(r.w.Root, "scripts/redis"), "stop", r.w.Path("redis")).Run()
}

// direct and local return the arguments of redis-cli.
func (r redis) direct() string {
	return strings.Join([]string{"-h", "127.0.0.1", "-p", r.w.port, "--tls", "--cacert", r.w.Path("db-ca.pem"), "--cert", r.w.Path("direct.crt"), "--key", r.w.Path("direct.key")}, " ")
}

func (r redis) local(d deployment) string {
	out, err := r.w.Tool(context.Background(), "tsh", append(r.login(d), "db", "config", "--format=cmd", "bench")...)
	if err != nil {
		return err.Error() // which redis-cli will not understand
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(string(out)), "redis-cli "), " -n 0")
}

func (r redis) login(d deployment) []string {
	return []string{"-i", r.w.Path(d.name + ".pem"), "--proxy", "localhost:" + d.proxy}
}

// prepare stores certificates for the databases, and fills them.
func (r redis) prepare(ctx context.Context, _ settings) error {
	for _, d := range []deployment{r.w.spread, r.w.single} {
		if _, err := r.w.Tool(ctx, "tsh", append(r.login(d), "db", "login", "--db-user=default", "bench")...); err != nil {
			return err
		}
	}
	for _, command := range [][]string{{"set", "key:__rand_int__", "xxx"}, {"setrange", "large", strconv.Itoa(redisLarge - 1), "x"}} {
		if out, err := exec.CommandContext(ctx, "redis-cli", append([]string{"-s", r.socket()}, command...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("filling the database: %w: %s", err, out)
		}
	}
	return nil
}

func (r redis) tests(s settings) []test {
	return []test{
		{name: "redis-benchmark GET, 16 clients", unit: "commands/s", measure: r.get(s, 1, 15_000)},
		{name: "redis-benchmark GET, 16 clients, pipeline 16", unit: "commands/s", measure: r.get(s, 16, 80_000)},
		{name: "Redis 100 MB value", unit: "MB/s", measure: r.large},
	}
}

var redisRate = regexp.MustCompile(`GET: ([0-9.]+) requests per second`)

// get measures so many commands as take about the length at the rate.
func (r redis) get(s settings, pipeline, rate int) func(context.Context, way) (float64, error) {
	return func(ctx context.Context, way way) (float64, error) {
		args := append(strings.Fields(way.dsn), "-t", "get", "-c", "16", "-P", strconv.Itoa(pipeline), "-n", strconv.Itoa(int(s.length.Seconds()*float64(rate))), "-q")
		out, err := exec.CommandContext(ctx, "redis-benchmark", args...).CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("redis-benchmark: %w: %s", err, out)
		}
		found := redisRate.FindSubmatch(out)
		if found == nil {
			return 0, fmt.Errorf("redis-benchmark told no rate: %s", out)
		}
		return strconv.ParseFloat(string(found[1]), 64)
	}
}

// large returns the rate of one large value, in 10^6 bytes per second.
func (r redis) large(ctx context.Context, way way) (float64, error) {
	cmd := exec.CommandContext(ctx, "redis-cli", append(strings.Fields(way.dsn), "get", "large")...)
	began := time.Now()
	if err := cmd.Run(); err != nil { // its output goes nowhere
		return 0, fmt.Errorf("reading a large value: %w", err)
	}
	return float64(redisLarge) / 1e6 / time.Since(began).Seconds(), nil
}
