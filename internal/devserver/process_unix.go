//go:build unix && !linux

package devserver

import "syscall"

// processAttributes puts the server into a process group of its own, so that Ctrl-C
// in a terminal reaches only us and we end things in order. Only Linux can also
// tie the server's life to ours.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
