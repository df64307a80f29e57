// Command starter starts, ends, shows and demonstrates the connections between
// Teamogy and KSeF. Its commands are in internal/cli.
package main

import (
	"os"
	_ "time/tzdata" // Polish dates on machines without a time zone database

	"teamogy-ksef/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr))
}
