package config

import (
	"strings"
	"time"

	"sallyport/internal/fault"
)

// splitLabels cuts "k=v,k2=v2" at the commas that are neither in quotes nor in square brackets.
func splitLabels(text string) []string {
	var parts []string
	start, depth, quoted := 0, 0, false
	for i, r := range text {
		switch {
		case r == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == ',' && depth == 0:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}

// parseLabels reads "k=v,k2=v2" into pairs, in the order written. The flag is named in errors.
func parseLabels(flag, text string) ([][2]string, error) {
	var pairs [][2]string
	for _, part := range splitLabels(text) {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || key == "" {
			return nil, fault.New(fault.BadParameter, "%s: %q must be written as key=value", flag, part)
		}
		if len(value) >= 2 && strings.HasPrefix(value, `"`) && strings.HasSuffix(value, `"`) {
			value = value[1 : len(value)-1]
		}
		pairs = append(pairs, [2]string{key, value})
	}
	return pairs, nil
}

// databaseLabels reads the labels of a database: "key=value", and "key=[period:command]" for the output
// of a command.
func databaseLabels(flag, text string) (static [][2]string, dynamic []dynamicLabel, err error) {
	pairs, err := parseLabels(flag, text)
	if err != nil {
		return nil, nil, err
	}
	for _, pair := range pairs {
		inner, ok := strings.CutPrefix(pair[1], "[")
		if !ok || !strings.HasSuffix(inner, "]") {
			static = append(static, pair)
			continue
		}
		every, command, ok := strings.Cut(strings.TrimSuffix(inner, "]"), ":")
		words := strings.Fields(command)
		if !ok || len(words) == 0 {
			return nil, nil, fault.New(fault.BadParameter, "%s: %s must be written as key=[period:command], as in host=[1h:hostname -f]", flag, pair[0])
		}
		period, err := time.ParseDuration(strings.TrimSpace(every))
		if err != nil || period < time.Second {
			return nil, nil, fault.New(fault.BadParameter, "%s: the period %q of %s must be a duration of at least 1s, such as 30m or 1h30m", flag, every, pair[0])
		}
		dynamic = append(dynamic, dynamicLabel{Name: pair[0], Period: duration(period), Command: words})
	}
	return static, dynamic, nil
}
