package devserver

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// BusyPortError says that another program already listens on a port that the
// server was asked to use. That program is left alone.
type BusyPortError struct {
	// Purpose is what the server wanted the port for, such as "Web UI".
	Purpose string
	// Address is IP:port.
	Address string
}

func (e *BusyPortError) Error() string {
	return fmt.Sprintf("port %s for the %s is in use by another program: stop that program or choose another port", e.Address, e.Purpose)
}

// claimPort returns the port to use on ip: the given one if nobody listens there, or a
// free one if it is 0. The port is free again when it returns; the server binds
// it a moment later.
func claimPort(ip string, port int, purpose string) (int, error) {
	address := net.JoinHostPort(ip, strconv.Itoa(port))
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return 0, &BusyPortError{Purpose: purpose, Address: address}
	}
	if err != nil {
		return 0, fmt.Errorf("listen on %s for the %s: %w", address, purpose, err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
