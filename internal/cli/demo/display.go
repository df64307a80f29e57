package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// display shows the demo to people.
type display interface {
	// say writes a line that stays.
	say(elapsed time.Duration, line string)
	// plainLine writes a line that stays, without the time.
	plainLine(line string)
	// event tells that an invoice has ended.
	event(elapsed time.Duration, line string)
	// show gives the present state. It is called every refresh.
	show(p progress)
	refresh() time.Duration
	// finish leaves the terminal as it was.
	finish()
}

// newDisplay chooses a live picture for a terminal and plain lines otherwise.
func newDisplay(out io.Writer) display {
	file, isFile := out.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) || os.Getenv("TERM") == "dumb" {
		return &plain{out: out}
	}
	return &screen{
		out:    out,
		colour: os.Getenv("NO_COLOR") == "",
		size: func() (int, int) {
			width, height, err := term.GetSize(int(file.Fd()))
			if err != nil || width < 1 || height < 1 {
				return 80, 24
			}
			return width, height
		},
	}
}

// locked lets several goroutines use one display.
type locked struct {
	mu sync.Mutex
	d  display
}

func (l *locked) say(elapsed time.Duration, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.d.say(elapsed, line)
}

func (l *locked) plainLine(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.d.plainLine(line)
}

func (l *locked) event(elapsed time.Duration, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.d.event(elapsed, line)
}

func (l *locked) show(p progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.d.show(p)
}

func (l *locked) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.d.finish()
}

func (l *locked) refresh() time.Duration { return l.d.refresh() }

// heartbeat is how often plain output shows that it is alive.
const heartbeat = 10 * time.Second

// plain writes lines: one when something changed, and a heartbeat.
type plain struct {
	out  io.Writer
	last string
	at   time.Duration
}

func (d *plain) say(elapsed time.Duration, line string) {
	fmt.Fprintf(d.out, "%s  %s\n", clock(elapsed), line)
}

func (d *plain) plainLine(line string) { fmt.Fprintln(d.out, line) }

func (d *plain) event(elapsed time.Duration, line string) { d.say(elapsed, line) }

func (d *plain) show(p progress) {
	parts := make([]string, 0, len(p.lanes))
	for _, l := range p.lanes {
		parts = append(parts, fmt.Sprintf("%s %d/%d (%s)", l.title, l.ended, l.all, l.text()))
	}
	counts := strings.Join(parts, ", ")
	due := p.elapsed-d.at >= heartbeat
	if counts == d.last && !due {
		return
	}
	line := counts
	if due && !p.over {
		line += "; now: " + strings.Join(p.now, "; ")
	}
	if counts == d.last && p.over && p.elapsed-d.at < time.Minute {
		return // nothing goes on any more: a sign of life now and then
	}
	d.say(p.elapsed, line)
	if due {
		for _, w := range p.warnings {
			d.say(p.elapsed, "is tried again: "+w)
		}
	}
	d.last, d.at = counts, p.elapsed
}

func (d *plain) refresh() time.Duration { return 500 * time.Millisecond }

func (d *plain) finish() {}
