//go:build unix && !linux

package demo

import "syscall"

// processAttributes puts the worker into a process group of its own, so that
// Ctrl-C in a terminal reaches only us and we end things in order.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
