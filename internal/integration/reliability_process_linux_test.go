package integration

import (
	"os"
	"syscall"
)

// canFreeze tells whether processes can be frozen here.
const canFreeze = true

// childAttributes put a worker into a process group of its own and have the
// kernel kill it when the test dies.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

func thaw(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
