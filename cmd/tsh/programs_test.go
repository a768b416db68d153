package main

import (
	"testing"

	"sallyport/internal/resource"
)

func TestEveryServedProtocolHasAProgram(t *testing.T) {
	t.Parallel()
	for _, protocol := range resource.Protocols() {
		if !resource.Served(protocol) {
			continue
		}
		program, ok := programOf(protocol)
		if !ok || len(program.names) == 0 || program.install == "" || program.arguments == nil {
			t.Errorf("%s: tsh db connect has no program to run", protocol)
		}
		if len(program.withheld.beginnings) == 0 {
			t.Errorf("%s: it is not said which variables of the environment the program is not given", protocol)
		}
	}
}
