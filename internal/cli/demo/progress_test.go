package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"teamogy-ksef/internal/cli/inspect"
	"teamogy-ksef/internal/flow"
)

func TestProgress_countsStatesAndSaysWhatHappens(t *testing.T) {
	e := goodEvidence()
	delete(e.Workflows, "demo/receive/K2")
	e.Workflows["demo/send/7"] = Workflow{State: flow.StateSending}
	p := newProgress(allItems, allItems.judgeAll(e), nil, time.Minute)
	assert.Equal(t, "1 waiting, 1 imported", p.lanes[0].text())
	assert.Equal(t, "1 at KSeF, 1 rejected", p.lanes[1].text())
	assert.Equal(t, []string{"1 received invoice waits in KSeF for the next poll", "KSeF checks FS/1"}, p.now)
	assert.False(t, p.over)
	assert.True(t, newProgress(allItems, allItems.judgeAll(goodEvidence()), nil, 0).over)
}

func TestProgress_namesEachTroubleOnce(t *testing.T) {
	trouble := inspect.Waiting{WorkflowID: "demo/send/7", Activity: "RecordKSeFNumber", Problem: inspect.Problem{Type: "TeamogyStatusUnknown", Message: "no status X"}}
	p := newProgress(allItems, allItems.judgeAll(Evidence{}), []inspect.Waiting{trouble, trouble}, 0)
	assert.Equal(t, []string{"RecordKSeFNumber of 2 workflows: TeamogyStatusUnknown: no status X"}, p.warnings)
}

func TestEvents_tellEachEndOnce(t *testing.T) {
	before, after := allItems.judgeAll(Evidence{}), allItems.judgeAll(goodEvidence())
	lines := events(allItems, before, after)
	assert.Equal(t, []string{
		"received  FV/1: imported, Teamogy document 1",
		"received  FV/2: imported with a note, Teamogy document 2, supplier unknown: see its note",
		"sent      FS/1: accepted, KSeF number N7",
		"sent      FS/2: rejected as expected: KSeF (440): duplicate invoice",
	}, lines)
	assert.Empty(t, events(allItems, after, after))
}

func TestPlain_writesOnlyChangesAndAHeartbeat(t *testing.T) {
	var out bytes.Buffer
	d := &plain{out: &out}
	e := goodEvidence()
	delete(e.Workflows, "demo/send/7")
	at := func(s int, e Evidence) {
		d.show(newProgress(allItems, allItems.judgeAll(e), nil, time.Duration(s)*time.Second))
	}
	at(1, e)
	at(2, e)
	at(10, e)
	at(11, e)
	at(12, e)
	at(13, goodEvidence())
	at(14, goodEvidence())
	at(30, goodEvidence())
	assert.Equal(t, `00:01  received 2/2 (1 imported, 1 imported with a note), sent 1/2 (1 waiting, 1 rejected)
00:11  received 2/2 (1 imported, 1 imported with a note), sent 1/2 (1 waiting, 1 rejected); now: 1 issued invoice waits in Teamogy for the next poll
00:13  received 2/2 (1 imported, 1 imported with a note), sent 2/2 (1 accepted, 1 rejected)
`, out.String())
	assert.NotContains(t, out.String(), "\x1b")
}

func TestScreen_redrawsInPlaceWithinTheTerminal(t *testing.T) {
	for _, size := range [][2]int{{100, 30}, {39, 12}, {10, 3}, {1, 1}} {
		var out bytes.Buffer
		d := &screen{out: &out, size: func() (int, int) { return size[0], size[1] }}
		p := newProgress(allItems, allItems.judgeAll(Evidence{}), []inspect.Waiting{{Activity: "A"}}, 65*time.Second)
		for range 20 {
			d.event(0, "sent  zażółć gęślą jaźń "+strings.Repeat("x", 100))
		}
		d.show(p)
		first := out.String()
		lines := strings.Split(strings.TrimPrefix(first, "\r"+clearBelow+hideCursor), "\n")
		assert.LessOrEqual(t, len(lines)-1, max(1, size[1]-1), "lines at %v", size)
		for _, l := range lines {
			assert.LessOrEqual(t, utf8.RuneCountInString(l), max(1, size[0]-1), "width at %v: %q", size, l)
		}
		out.Reset()
		d.show(p)
		assert.True(t, strings.HasPrefix(out.String(), "\x1b["), "goes back up before it draws again")
		assert.Contains(t, out.String(), clearBelow)
		out.Reset()
		d.finish()
		assert.Equal(t, showCursor, out.String())
	}
}

func TestScreen_keepsLinesAboveTheBlock(t *testing.T) {
	var out bytes.Buffer
	d := &screen{out: &out, size: func() (int, int) { return 80, 24 }}
	d.show(newProgress(allItems, allItems.judgeAll(Evidence{}), nil, 0))
	out.Reset()
	d.say(0, "the worker has ended")
	text := out.String()
	assert.Less(t, strings.Index(text, clearBelow), strings.Index(text, "the worker has ended\n"))
	assert.Less(t, strings.Index(text, "the worker has ended\n"), strings.Index(text, "received"))
}
