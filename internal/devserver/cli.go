package devserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// NotFoundError says that there is no usable Temporal CLI, and what to do about it.
type NotFoundError struct {
	// Tried names every place that was looked at, in order, with what was wrong there.
	Tried []string
}

func (e *NotFoundError) Error() string {
	text := "no Temporal CLI found ("
	for i, place := range e.Tried {
		if i > 0 {
			text += "; "
		}
		text += place
	}
	return text + "): build one with `make tools`, install an official release, or set TEMPORAL_CLI to its path"
}

// FindCLI returns the path of the Temporal CLI: the program that the variable
// TEMPORAL_CLI names, else `temporal` on PATH, else bin/temporal under
// projectRoot, which `make tools` builds. A TEMPORAL_CLI that cannot be run is an
// error and not skipped, because somebody meant it. The error is always a
// *NotFoundError.
func FindCLI(projectRoot string) (string, error) {
	if given := os.Getenv("TEMPORAL_CLI"); given != "" {
		path, err := exec.LookPath(given)
		if err != nil {
			return "", &NotFoundError{Tried: []string{fmt.Sprintf("TEMPORAL_CLI=%s cannot be run", given)}}
		}
		return filepath.Abs(path)
	}
	if path, err := exec.LookPath("temporal"); err == nil {
		return filepath.Abs(path)
	}
	built, err := filepath.Abs(filepath.Join(projectRoot, "bin", "temporal"))
	if err != nil {
		return "", fmt.Errorf("find bin/temporal under %s: %w", projectRoot, err)
	}
	if path, err := exec.LookPath(built); err == nil {
		return path, nil
	}
	return "", &NotFoundError{Tried: []string{"TEMPORAL_CLI is not set", "`temporal` is not on PATH", built + " is not there"}}
}
