package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// screen redraws a block at the end of a terminal's output in place. Lines
// that stay are written above it.
type screen struct {
	out    io.Writer
	colour bool
	size   func() (width, height int)

	drawn  int      // lines of the block on the screen
	latest []string // the last events
	frame  int
	last   progress
	shown  bool
}

const (
	mostEvents   = 8
	mostWarnings = 3
	barWidth     = 24
)

var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// Escape sequences of every terminal of today.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	clearBelow = "\x1b[J"
	bold       = "\x1b[1m"
	dim        = "\x1b[2m"
	green      = "\x1b[32m"
	yellow     = "\x1b[33m"
	plainText  = "\x1b[0m"
)

// say needs no time: the block below shows it.
func (d *screen) say(_ time.Duration, line string) {
	var b strings.Builder
	d.erase(&b)
	b.WriteString(line + "\n")
	d.draw(&b)
	_, _ = io.WriteString(d.out, b.String())
}

func (d *screen) plainLine(line string) { d.say(0, line) }

func (d *screen) event(elapsed time.Duration, line string) {
	d.latest = append(d.latest, clock(elapsed)+"  "+line)
	d.latest = d.latest[max(0, len(d.latest)-mostEvents):]
}

func (d *screen) show(p progress) {
	d.last, d.shown = p, true
	d.frame++
	var b strings.Builder
	d.erase(&b)
	d.draw(&b)
	_, _ = io.WriteString(d.out, b.String())
}

func (d *screen) refresh() time.Duration { return 125 * time.Millisecond }

func (d *screen) finish() {
	if d.shown {
		_, _ = io.WriteString(d.out, showCursor)
	}
	d.shown, d.drawn = false, 0 // what is drawn stays
}

// erase goes back to where the block began and clears it.
func (d *screen) erase(b *strings.Builder) {
	if d.drawn > 0 {
		fmt.Fprintf(b, "\x1b[%dA", d.drawn)
	}
	b.WriteString("\r" + clearBelow)
	d.drawn = 0
}

// draw writes the block, cut to the terminal's size.
func (d *screen) draw(b *strings.Builder) {
	if !d.shown {
		return
	}
	width, height := d.size()
	lines := d.block(d.last, width)
	lines = lines[:min(len(lines), max(1, height-1))]
	b.WriteString(hideCursor)
	for _, l := range lines {
		b.WriteString(d.paint(l, width) + "\n")
	}
	d.drawn = len(lines)
}

// line is one line of the block; text is cut to the width, then styled.
type line struct{ text, style string }

func (d *screen) block(p progress, width int) []line {
	all, ended := 0, 0
	for _, l := range p.lanes {
		all, ended = all+l.all, ended+l.ended
	}
	sign := spinner[d.frame%len(spinner)]
	lines := []line{{}, {fmt.Sprintf("%s %s  %d of %d invoices have reached an end", sign, clock(p.elapsed), ended, all), bold}}
	for _, l := range p.lanes {
		style := ""
		switch {
		case l.wrong > 0:
			style = yellow
		case l.ended == l.all:
			style = green
		}
		bar := ""
		if width >= 70 {
			bar = " " + progressBar(l.ended, l.all)
		}
		lines = append(lines, line{fmt.Sprintf("  %-8s%s %d/%d", l.title, bar, l.ended, l.all), style})
		lines = append(lines, line{"           " + l.text(), dim})
	}
	for n, text := range p.now {
		title := "  now      "
		if n > 0 {
			title = "           "
		}
		lines = append(lines, line{title + text, ""})
	}
	for n, text := range p.warnings {
		if n < mostWarnings {
			lines = append(lines, line{"  retrying " + text, yellow})
		}
	}
	for n, text := range d.latest {
		title := "  latest   "
		if n > 0 {
			title = "           "
		}
		lines = append(lines, line{title + text, dim})
	}
	return lines
}

func progressBar(n, of int) string {
	full := 0
	if of > 0 {
		full = barWidth * n / of
	}
	return strings.Repeat("█", full) + strings.Repeat("░", barWidth-full)
}

// paint cuts a line to the terminal's width, so that it never wraps, and
// colours it.
func (d *screen) paint(l line, width int) string {
	text := cut(l.text, width-1)
	if !d.colour || l.style == "" {
		return text
	}
	return l.style + text + plainText
}

// cut shortens a text to a number of characters.
func cut(text string, width int) string {
	width = max(width, 1)
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}
