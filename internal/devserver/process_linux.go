package devserver

import "syscall"

// processAttributes puts the server into a process group of its own, so that Ctrl-C
// in a terminal reaches only us and we end things in order, and has the kernel
// kill it when we die without being able to do that.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
