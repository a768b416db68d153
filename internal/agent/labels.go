package agent

import (
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/internal/bell"
	"sallyport/internal/resource"
	"sallyport/internal/upkeep"
)

// Limits of the commands that make dynamic labels.
const (
	minLabelPeriod    = time.Second
	labelTimeout      = 10 * time.Second
	firstLabelRetry   = 10 * time.Second // between attempts of a command that never succeeded
	maxLabelValue     = 4096             // bytes
	maxLabelProcesses = 32               // that run at a time
)

// labelRunner runs the commands of dynamic labels and keeps the last output of each that succeeded. Safe
// for concurrent use.
type labelRunner struct {
	logger *slog.Logger
	now    func() time.Time
	loop   *upkeep.Loop[*labelCommand]
	news   bell.Bell // of values

	mu       sync.Mutex
	commands map[string]*labelCommand // by key; guarded by mu
}

// labelCommand is one command and its period, whatever databases have it. Its fields are guarded by the
// runner's mu.
type labelCommand struct {
	label   string // of the first database that wanted it
	argv    []string
	period  time.Duration
	next    time.Time
	running bool
	result  string // empty until it succeeded once
	wanted  bool
}

func newLabelRunner(logger *slog.Logger, now func() time.Time) *labelRunner {
	return &labelRunner{logger: logger, now: now, commands: make(map[string]*labelCommand),
		loop: upkeep.NewLoop[*labelCommand](maxLabelProcesses)}
}

func labelKey(label resource.DynamicLabel) string {
	return time.Duration(label.Period).String() + "\x00" + strings.Join(label.Command, "\x00")
}

// watch says which databases' labels are wanted from now on.
func (l *labelRunner) watch(wanted map[string]*resource.Database) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, command := range l.commands {
		command.wanted = false
	}
	added := false
	for _, db := range wanted {
		for name, label := range db.Spec.DynamicLabels {
			command := l.commands[labelKey(label)]
			if command == nil {
				command = &labelCommand{label: db.GetName() + "." + name, argv: slices.Clone(label.Command), period: max(time.Duration(label.Period), minLabelPeriod)}
				l.commands[labelKey(label)] = command
				added = true
			}
			command.wanted = true
		}
	}
	for key, command := range l.commands {
		if !command.wanted {
			delete(l.commands, key)
		}
	}
	if added {
		l.loop.Wake()
	}
}

// results returns a database's dynamic labels with their last values, and whether each has one. Until
// then a rule that denies by the label could not match.
func (l *labelRunner) results(db *resource.Database) (labels resource.DynamicLabels, complete bool) {
	if db.Spec.DynamicLabels == nil {
		return nil, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	complete = true
	labels = make(resource.DynamicLabels, len(db.Spec.DynamicLabels))
	for name, label := range db.Spec.DynamicLabels {
		label.Result = ""
		if command := l.commands[labelKey(label)]; command != nil {
			label.Result = command.result
		}
		_, fixed := db.Metadata.Labels[name] // a static label of the name wins
		complete = complete && (fixed || label.Result != "")
		labels[name] = label
	}
	return labels, complete
}

// run runs commands when they are due, side by side, until the context ends.
func (l *labelRunner) run(ctx context.Context) { l.loop.Run(ctx, l.due, l.execute) }

// due returns the commands to run now, marked as running, as far as processes are free, and the time until the next one.
func (l *labelRunner) due(free int) (due []*labelCommand, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	wait = time.Hour
	for _, command := range l.commands {
		switch {
		case command.running:
		case command.next.After(now):
			wait = min(wait, command.next.Sub(now))
		case len(due) < free:
			command.running = true
			due = append(due, command)
		}
	}
	return due, wait
}

func (l *labelRunner) execute(ctx context.Context, command *labelCommand) {
	value, err := output(ctx, command.argv)
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	command.running, command.next = false, l.now().Add(command.period)
	switch {
	case err != nil && command.result == "":
		command.next = l.now().Add(min(command.period, firstLabelRetry))
		l.logger.Error("command of a dynamic label failed; databases with this label are not served until it succeeds", "label", command.label, "command", command.argv[0], "error", err)
	case err != nil:
		l.logger.Warn("command of a dynamic label failed; its last value stays", "label", command.label, "command", command.argv[0], "error", err)
	case command.result != value:
		command.result = value
		l.news.Ring()
	}
}

// output runs a command and returns what it prints, which must not be nothing: a label without a value is
// no label, and rules could not match it.
func output(ctx context.Context, argv []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, labelTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	printed, err := cmd.Output()
	if err != nil {
		return "", err
	}
	value := strings.TrimSpace(string(printed))
	if value == "" {
		return "", errors.New("it prints nothing")
	}
	return strings.ToValidUTF8(value[:min(len(value), maxLabelValue)], "?"), nil
}
