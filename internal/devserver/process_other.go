//go:build !unix

package devserver

import "syscall"

func processAttributes() *syscall.SysProcAttr { return nil }
