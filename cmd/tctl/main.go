// Command tctl administers a cluster.
package main

import (
	"os"

	"sallyport/internal/terminal"
)

func main() { os.Exit(run(os.Args[1:])) }

// run is main for tests too: it returns the exit code.
func run(args []string) int { return terminal.Execute(newRoot(), args, nil) }
