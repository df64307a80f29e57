package teamogysim

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// before reports whether the fault keeps the request from the application.
func (f *fault) before() bool { return f != nil && !f.kind.after }

// answer writes what the caller gets instead of the truth, where a fault sends
// another answer.
func (f *fault) answer(a *answer) {
	switch f.kind.Name {
	case faultBadGateway, faultBadGatewayAfter:
		a.text(http.StatusBadGateway, "text/html; charset=utf-8", "<html><body><h1>502 Bad Gateway</h1></body></html>")
	case faultHTML:
		a.text(http.StatusOK, "text/html; charset=utf-8", "<!doctype html><html><body><h1>Please sign in</h1></body></html>")
	case faultTooMany:
		a.fail(http.StatusTooManyRequests, "too many requests")
		if f.RetryAfter >= 0 {
			a.Header().Set("Retry-After", strconv.Itoa(max(1, f.RetryAfter)))
		}
	case faultStatus:
		if f.Body != "" {
			a.text(f.Status, "application/json; charset=utf-8", f.Body)
		} else {
			a.fail(f.Status, "fault ordered at the simulator")
		}
		if f.RetryAfter > 0 {
			a.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
		}
	case faultTimeout, faultTimeoutAfter:
		a.text(http.StatusGatewayTimeout, "text/html; charset=utf-8", "<html><body><h1>504 Gateway Timeout</h1></body></html>")
	}
}

// label is how a request that was struck is counted: by what the caller saw.
func (f *fault) label(a *answer) string {
	if f == nil || f.kind.reach == reachAnswer {
		return strconv.Itoa(a.status)
	}
	return map[reach]string{reachDropped: "dropped", reachReset: "reset", reachHeld: "timeout", reachTruncated: "truncated"}[f.kind.reach]
}

// send lets the answer reach the caller as far as the fault permits. It panics
// with http.ErrAbortHandler, which closes the connection, where it does not.
func (f *fault) send(w http.ResponseWriter, r *http.Request, a *answer, release <-chan struct{}) {
	if f == nil {
		a.writeTo(w)
		return
	}
	switch f.kind.reach {
	case reachDropped:
		panic(http.ErrAbortHandler)
	case reachReset:
		resetConnection(w)
	case reachHeld:
		f.hold(r, release)
		f.answer(a)
		a.writeTo(w)
	case reachTruncated:
		body := a.body.Bytes()
		a.Header().Set("Content-Length", strconv.Itoa(max(1, len(body))))
		a.body.Truncate(len(body) / 2)
		a.writeTo(w)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	default:
		a.writeTo(w)
	}
}

// hold waits until the caller leaves, the fault's seconds have passed or the
// faults are removed. Nobody is waited for once the caller has left.
func (f *fault) hold(r *http.Request, release <-chan struct{}) {
	// The server notices that a caller leaves only when the body was read.
	_, _ = io.Copy(io.Discard, r.Body)
	var over <-chan time.Time
	if f.Seconds > 0 {
		timer := time.NewTimer(time.Duration(f.Seconds * float64(time.Second)))
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	case <-over:
	case <-release:
	}
}

// resetConnection makes the caller's system see a TCP reset, or at least a
// closed connection where the server does not give it out of its hands.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
