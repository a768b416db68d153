package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sallyport/bench/programs"
)

// looks measures a Discovery Service that looks for many databases, twice: RDS tells tags with the databases, MemoryDB in
// a call for each.
func (w *world) looks(ctx context.Context, s settings) error {
	if err := w.aws.slow(ctx, s.latency); err != nil {
		return err
	}
	for _, one := range []struct {
		title, kind string
		count       int
	}{
		{"databases of RDS", "rds", s.databases},
		{"clusters of MemoryDB", "memorydb", s.tagged},
	} {
		if one.count == 0 {
			continue
		}
		w.Stop()
		if err := w.startCluster(ctx); err != nil {
			return err
		}
		title := fmt.Sprintf("%d %s", one.count, one.title)
		if err := w.look(ctx, title, one.kind, one.count); err != nil {
			return fmt.Errorf("looking for %s: %w", title, err)
		}
		if s.profiles != "" {
			if err := profile(s.profiles, one.kind); err != nil {
				return err
			}
		}
	}
	return nil
}

const discoveryConfig = `discovery_service:
  enabled: yes
  discovery_group: bench
  poll_interval: 2s
  aws:
  - {types: [%[1]s], regions: [%[2]s], tags: {env: bench}, assume_role_arn: "%[3]s", external_id: %[4]s}
`

// look runs one Discovery Service in a process of its own until it has looked three times.
func (w *world) look(ctx context.Context, title, kind string, count int) error {
	name := "discovery-of-" + kind
	config, err := w.member(name, 3002, fmt.Sprintf(discoveryConfig, kind, strings.Join(regions, ", "), databaseRole, externalID))
	if err != nil {
		return err
	}
	if err := w.aws.forget(ctx); err != nil {
		return err
	}
	began := time.Now()
	process, err := w.Background(name+".log", "teleport", "start", "-d", "-c", config, "--insecure")
	if err != nil {
		return err
	}
	if err := programs.Ready(ctx, "127.0.0.1:3002"); err != nil {
		return err
	}
	first, err := w.looked(ctx, name, time.Time{})
	if err != nil {
		return err
	}
	registered := time.Since(began)
	calls, _, err := w.aws.journal(ctx)
	if err != nil {
		return err
	}
	before, err := w.revisions(ctx)
	if err != nil {
		return err
	}
	if first.found != count {
		return fmt.Errorf("%d databases were found, not %d", first.found, count)
	}
	row(title+": from the start of the process until all are registered", "s", registered.Seconds(), "≤ 60")
	row("… of it until AWS has told all", "s", first.at.Sub(began).Seconds(), "")
	asked := slices.IndexFunc(calls, func(e entry) bool { return e.Time.After(first.at) }) // by the next look
	if asked < 0 {
		asked = len(calls)
	}
	row("… calls of AWS", "calls", float64(asked), "")
	second, err := w.looked(ctx, name, first.at) // it began before the first was announced, perhaps
	if err != nil {
		return err
	}
	if _, err = w.looked(ctx, name, second.at); err != nil {
		return err
	}
	after, err := w.revisions(ctx)
	if err != nil {
		return err
	}
	written := 0
	for name, revision := range after {
		if before[name] != revision {
			written++
		}
	}
	row("… databases written by two more looks when nothing changed", "writes", float64(written+len(before)-len(after)), "0")
	row("… peak memory of the Discovery Service", "MiB", float64(programs.Memory(process, "VmHWM"))/1024, "≤ 150")
	return nil
}

// outcome is how all looks of a round went.
type outcome struct {
	at    time.Time // of the last success
	found int
}

// looked waits until a Discovery Service tells of a look after a moment, all of which went well.
func (w *world) looked(ctx context.Context, host string, after time.Time) (outcome, error) {
	for ctx.Err() == nil {
		text, err := w.tctl(ctx, "get", "discovery_service", "--format=json")
		if err != nil {
			return outcome{}, err
		}
		var all []struct {
			Spec struct {
				Hostname string `json:"hostname"`
				Matchers []struct {
					Found       int        `json:"found"`
					LastSuccess *time.Time `json:"last_success"`
					Error       string     `json:"error"`
				} `json:"matchers"`
			} `json:"spec"`
		}
		if err := json.Unmarshal(text, &all); err != nil {
			return outcome{}, fmt.Errorf("%w: %s", err, text)
		}
		for _, one := range all {
			if one.Spec.Hostname != host || len(one.Spec.Matchers) == 0 {
				continue
			}
			var o outcome
			for _, m := range one.Spec.Matchers {
				if m.Error != "" || m.LastSuccess == nil {
					return o, fmt.Errorf("a look failed: %s", m.Error)
				}
				o.at, o.found = *m.LastSuccess, o.found+m.Found
			}
			if o.at.After(after) {
				return o, nil
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return outcome{}, ctx.Err()
}

// revisions returns what the store says of each database: it changes with every write.
func (w *world) revisions(ctx context.Context) (map[string]string, error) {
	text, err := w.tctl(ctx, "get", "db", "--format=json")
	if err != nil {
		return nil, err
	}
	var all []struct {
		Metadata struct {
			Name     string `json:"name"`
			Revision string `json:"revision"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	revisions := make(map[string]string, len(all))
	for _, one := range all {
		if one.Metadata.Revision == "" {
			return nil, fmt.Errorf("database %s has no revision", one.Metadata.Name)
		}
		revisions[one.Metadata.Name] = one.Metadata.Revision
	}
	return revisions, nil
}

// profile writes what the Discovery Service has in memory, and what it had.
func profile(folder, kind string) error {
	res, err := http.Get("http://127.0.0.1:3002/debug/pprof/heap")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, kind+".heap"), data, 0o644)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
