package archive

import (
	"os"
	"testing"
)

// TestMain is also the main function of the processes that the tests start: the test binary itself, told
// by childVariable what to do.
func TestMain(m *testing.M) {
	if what := os.Getenv(childVariable); what != "" {
		os.Exit(child(what))
	}
	status := m.Run()
	stopS3Server()
	os.Exit(status)
}
