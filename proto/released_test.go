package proto_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

var release = flag.Bool("release", false, "write down what is released now")

// TestReleasedProgramsAreUnderstood compares the protocol with what released.txt says of the last release: each
// method, field and value of an enumeration, with what travels. None may be changed or go. With -release it writes the
// file, for a new release.
func TestReleasedProgramsAreUnderstood(t *testing.T) {
	t.Parallel()
	var now []string
	for _, file := range compile(t) {
		now = append(now, travelling(file)...)
	}
	slices.Sort(now)
	if *release {
		if err := os.WriteFile("released.txt", []byte(strings.Join(now, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	then, err := os.ReadFile("released.txt")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for line := range strings.Lines(string(then)) {
		count++
		if line = strings.TrimSuffix(line, "\n"); !slices.Contains(now, line) {
			t.Errorf("programs of the last release rely on %q, which was changed or removed; add something new beside it", line)
		}
	}
	if count < 100 {
		t.Errorf("the last release had %d methods, fields and values only", count)
	}
}

// travelling returns a line for everything in a file that two programs must agree on.
func travelling(file protoreflect.FileDescriptor) (lines []string) {
	for i := range file.Services().Len() {
		methods := file.Services().Get(i).Methods()
		for j := range methods.Len() {
			m := methods.Get(j)
			lines = append(lines, fmt.Sprintf("%s(%s stream=%t) (%s stream=%t)", m.FullName(), m.Input().FullName(), m.IsStreamingClient(), m.Output().FullName(), m.IsStreamingServer()))
		}
	}
	return append(append(lines, enumerated(file.Enums())...), fields(file.Messages())...)
}

func fields(messages protoreflect.MessageDescriptors) (lines []string) {
	for i := range messages.Len() {
		message := messages.Get(i)
		for j := range message.Fields().Len() {
			f := message.Fields().Get(j)
			typ, presence := f.Kind().String(), ""
			if f.Message() != nil {
				typ = string(f.Message().FullName())
			} else if f.Enum() != nil {
				typ = string(f.Enum().FullName())
			}
			if oneof := f.ContainingOneof(); oneof != nil {
				presence = " in " + string(oneof.Name())
			}
			lines = append(lines, fmt.Sprintf("%s = %d %s %s%s", f.FullName(), f.Number(), f.Cardinality(), typ, presence))
		}
		lines = append(append(lines, enumerated(message.Enums())...), fields(message.Messages())...)
	}
	return lines
}

func enumerated(enums protoreflect.EnumDescriptors) (lines []string) {
	for i := range enums.Len() {
		values := enums.Get(i).Values()
		for j := range values.Len() {
			lines = append(lines, fmt.Sprintf("%s.%s = %d", enums.Get(i).FullName(), values.Get(j).Name(), values.Get(j).Number()))
		}
	}
	return lines
}
