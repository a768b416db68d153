package agent

import (
	"context"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/internal/resource"
)

// Limits of the commands that make dynamic labels.
const (
	minLabelPeriod  = time.Second
	labelTimeout    = 10 * time.Second
	maxLabelValue   = 4096 // bytes
	labelFailedText = "error: "
)

// labelRunner runs the commands of dynamic labels and keeps their last output. Safe for concurrent use.
type labelRunner struct {
	logger *slog.Logger

	mu       sync.Mutex
	commands map[string]*labelCommand // by key; guarded by mu
	notify   chan struct{}            // closed at the next change of a value; guarded by mu
	wake     chan struct{}            // tells run that the commands changed
}

type labelCommand struct {
	argv   []string
	period time.Duration
	next   time.Time
	result string
	wanted bool
}

func newLabelRunner(logger *slog.Logger) *labelRunner {
	return &labelRunner{logger: logger, commands: make(map[string]*labelCommand), notify: make(chan struct{}), wake: make(chan struct{}, 1)}
}

func labelKey(label resource.DynamicLabel) string {
	return time.Duration(label.Period).String() + "\x00" + strings.Join(label.Command, "\x00")
}

// changed returns a channel that is closed when a value changes.
func (l *labelRunner) changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.notify
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
		for _, label := range db.Spec.DynamicLabels {
			command := l.commands[labelKey(label)]
			if command == nil {
				command = &labelCommand{argv: slices.Clone(label.Command), period: max(time.Duration(label.Period), minLabelPeriod)}
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
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// results returns a database's dynamic labels with their last values.
func (l *labelRunner) results(db *resource.Database) resource.DynamicLabels {
	if db.Spec.DynamicLabels == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	labels := make(resource.DynamicLabels, len(db.Spec.DynamicLabels))
	for name, label := range db.Spec.DynamicLabels {
		if command := l.commands[labelKey(label)]; command != nil {
			label.Result = command.result
		}
		labels[name] = label
	}
	return labels
}

// run runs commands when they are due until the context ends.
func (l *labelRunner) run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := time.Hour
		for _, command := range l.due(&wait) {
			l.execute(ctx, command)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// due returns the commands to run now, and shortens wait to the time until the next one.
func (l *labelRunner) due(wait *time.Duration) []*labelCommand {
	l.mu.Lock()
	defer l.mu.Unlock()
	var due []*labelCommand
	for _, command := range l.commands {
		if time.Until(command.next) <= 0 {
			command.next = time.Now().Add(command.period)
			due = append(due, command)
		}
		*wait = min(*wait, max(time.Until(command.next), 10*time.Millisecond))
	}
	return due
}

func (l *labelRunner) execute(ctx context.Context, command *labelCommand) {
	ctx, cancel := context.WithTimeout(ctx, labelTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, command.argv[0], command.argv[1:]...)
	cmd.WaitDelay = time.Second
	output, err := cmd.Output()
	value := strings.TrimSpace(string(output))
	if err != nil {
		value = labelFailedText + err.Error()
		l.logger.Warn("command of a dynamic label failed", "command", command.argv[0], "error", err)
	}
	value = strings.ToValidUTF8(value[:min(len(value), maxLabelValue)], "?")
	l.mu.Lock()
	defer l.mu.Unlock()
	if command.result != value {
		command.result = value
		close(l.notify)
		l.notify = make(chan struct{})
	}
}
