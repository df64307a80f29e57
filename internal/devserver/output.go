package devserver

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// keptLines is how much of the server's output an error quotes.
const keptLines = 15

// output passes what the server prints on to a log and remembers its last lines, so
// that a failed start can say what the server said.
type output struct {
	mu      sync.Mutex
	log     io.Writer
	lines   []string
	partial []byte
}

// Write implements io.Writer. A log that fails is not the server's fault: it is
// ignored, because an error here would stop the server's output for good.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.log != nil {
		_, _ = o.log.Write(p)
	}
	o.partial = append(o.partial, p...)
	for {
		line, rest, found := bytes.Cut(o.partial, []byte("\n"))
		if !found {
			break
		}
		o.keep(string(line))
		o.partial = rest
	}
	return len(p), nil
}

func (o *output) keep(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	o.lines = append(o.lines, line)
	if len(o.lines) > keptLines {
		o.lines = o.lines[len(o.lines)-keptLines:]
	}
}

// last returns the remembered lines as an indented block, or a remark that there are none.
func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := o.lines
	if len(o.partial) > 0 {
		lines = append(lines[:len(lines):len(lines)], string(o.partial))
	}
	if len(lines) == 0 {
		return "it printed nothing"
	}
	return "its last lines:\n  " + strings.Join(lines, "\n  ")
}
