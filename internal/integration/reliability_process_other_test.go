//go:build !linux

package integration

import (
	"errors"
	"os"
	"syscall"
)

const canFreeze = false

var errNoFreezing = errors.New("processes are frozen on Linux only")

func childAttributes() *syscall.SysProcAttr { return nil }

func freeze(*os.Process) error { return errNoFreezing }

func thaw(*os.Process) error { return errNoFreezing }
