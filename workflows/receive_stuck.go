package workflows

import (
	"fmt"
	"time"

	"github.com/shopspring/decimal"
	"go.temporal.io/sdk/workflow"

	"teamogy-ksef/internal/flow"
)

// mostSplits is how many packages one moment is tried to be brought by: a good
// two hours' quota, once a day at most.
const mostSplits = 40

// stuck is what to do where a query, or a package, holds nothing but one moment
// and is cut off. Perhaps what was cut off lies behind it, or the moment can be
// brought in several packages by the invoices' amounts: then it is whole. Else
// the cursor stays there, and the sweep ends to go on behind it. So many of the
// moment were seen, and the last one shows its time.
func (r *receiveInvoices) stuck(ctx workflow.Context, subject string, w window, last time.Time, seen int, follows track) (whole, ends bool, err error) {
	if !r.packages {
		r.reportStuck(ctx, subject, w.from)
		return false, false, nil
	}
	if at := r.wholeAt[subject]; follows != nothing && !at.IsZero() && !w.from.Before(at) && !last.After(at) {
		return true, false, nil // the cursor stays before it for another reason, or KSeF shows less finely what is behind it
	}
	if follows != theCursor && r.triedInVain(ctx, subject, w.from) {
		return false, false, nil
	}
	stands := r.at(follows, subject)
	whole, putOff, err := r.splitMoment(ctx, subject, w.from, w.momentEnd(last), seen, follows == nothing)
	if err != nil || putOff || r.setMeanwhile(ctx, follows, subject, stands) {
		return false, true, err
	}
	if !whole {
		r.inVain[momentOf{subject, w.from}] = workflow.Now(ctx)
	}
	if follows == nothing {
		return whole, false, nil // a look back has no position
	}
	if whole {
		r.wholeAt[subject] = w.from
		return true, false, nil
	}
	r.reportStuck(ctx, subject, w.from)
	if follows == behind {
		return false, false, nil // the second one: the position stays there, and the sweep goes on
	}
	at := w.behind(last)
	if b, there := r.state.Behind[subject]; there && b.At.After(at) {
		at = b.At
	}
	if r.state.Behind == nil {
		r.state.Behind = map[string]flow.Behind{}
	}
	r.state.Behind[subject] = flow.Behind{At: at, Tried: workflow.Now(ctx)}
	return false, true, nil
}

// momentOf is a time of storage as a subject type sees it.
type momentOf struct {
	subject string
	at      time.Time
}

// inVainChange is the change from which on triedInVain is asked.
const inVainChange = "a moment that cannot be had is tried once a day"

// triedInVain tells whether this run has tried to bring a moment within the last
// day, and could not: each try takes up to two hours' quota of exports. The moment
// where the cursor stays has a day of its own (Behind.Tried).
func (r *receiveInvoices) triedInVain(ctx workflow.Context, subject string, at time.Time) bool {
	tried, there := r.inVain[momentOf{subject, at}]
	return there && workflow.Now(ctx).Sub(tried) < flow.Scaled(recheckEvery, r.timeScale) &&
		workflow.GetVersion(ctx, inVainChange, workflow.DefaultVersion, 1) > workflow.DefaultVersion
}

// amounts is a range of gross amounts, both ends inclusive; nil: no bound.
type amounts struct {
	from, to *decimal.Decimal
	seen     int // how many of its invoices a package has shown that was cut off
}

// grosz is the unit of KSeF's amounts (TKwotowy has two decimals).
var grosz = decimal.New(1, -2)

// split cuts a range in two that share no amount and leave none out; the lower
// one ends at an amount of the range, or before it. A range of one amount cannot
// be cut. Of so many of its invoices that were seen, some have at most that
// amount.
func (a amounts) split(at decimal.Decimal, seen, upTo int) ([]amounts, bool) {
	if a.from != nil && at.LessThan(*a.from) || a.to != nil && at.GreaterThan(*a.to) {
		return nil, false // the list is not what was asked for
	}
	if a.to != nil && at.Equal(*a.to) {
		at, upTo, seen = at.Sub(grosz), 0, 0 // how many have less is not known
		if a.from != nil && at.LessThan(*a.from) {
			return nil, false
		}
	}
	above := at.Add(grosz)
	return []amounts{{a.from, &at, upTo}, {&above, a.to, max(0, seen-upTo)}}, true
}

// splitAfter is split at the amount in the middle of a package that was cut off.
func (a amounts) splitAfter(cutOff flow.CollectedList) ([]amounts, bool) {
	at, err := decimal.NewFromString(cutOff.Median)
	if err != nil {
		return nil, false
	}
	return a.split(at, cutOff.Invoices, cutOff.UpToMedian)
}

func (a amounts) order(o flow.ExportOrder) flow.ExportOrder {
	if a.from != nil {
		o.GrossFrom = a.from.String()
	}
	if a.to != nil {
		o.GrossTo = a.to.String()
	}
	return o
}

// splitMoment brings the invoices of one moment by packages that are cut off
// nowhere: the first is the moment itself, and one that is cut off is divided at
// the amount in its middle. A look back asks for the lists alone. It tells
// whether all are started, and whether it was put off to the next cycle. A part
// of which less comes than was seen before is not all, whatever KSeF says.
func (r *receiveInvoices) splitMoment(ctx workflow.Context, subject string, at, end time.Time, seen int, lookingBack bool) (whole, putOff bool, err error) {
	open := []amounts{{seen: seen}}
	for n := 0; len(open) > 0; n++ {
		if n >= mostSplits || r.supplies(ctx).noPackages {
			return false, false, nil
		}
		part := open[0]
		r.chosen(ctx, fmt.Sprintf("more invoices of one moment, %s, than a query shows: export packages by amounts; %s", at.Format(time.RFC3339Nano), r.supplies(ctx).left()))
		order := part.order(flow.ExportOrder{Window: flow.Window{Connection: r.connection, Subject: subject, From: at, To: end}, OnlyMetadata: lookingBack})
		brought, err := r.export(ctx, order)
		if err != nil || !brought.got {
			return false, false, err
		}
		if brought.notYet {
			return false, true, nil // although a query has shown it: the next cycle asks again
		}
		if brought.Truncated {
			halves, can := part.splitAfter(brought.CollectedList)
			if !can {
				return false, false, nil
			}
			open = append(open[1:], halves...)
			continue
		}
		if comes := max(brought.Invoices, brought.List.Count+brought.Apart.Count); comes < part.seen {
			workflow.GetLogger(ctx).Error("KSeF gives fewer invoices of a moment than it has shown", "at", at, "shown", part.seen, "given", comes)
			return false, false, nil
		}
		got, err := r.startBrought(ctx, order, brought.CollectedList, nothing)
		if err != nil || got.ends || r.paused != "" {
			return false, true, err
		}
		if !got.started {
			return false, false, nil
		}
		open = open[1:]
	}
	return true, false, nil
}

// reportStuck makes known that KSeF holds more invoices with one time of storage
// than any query shows. The cursor stays there, and those behind are imported all
// the same.
func (r *receiveInvoices) reportStuck(ctx workflow.Context, subject string, at time.Time) {
	r.stuckAt = at
	if r.state.Stuck == nil {
		r.state.Stuck = map[string]time.Time{}
	}
	r.state.Stuck[subject] = at
	workflow.GetLogger(ctx).Error("KSeF holds more invoices of one moment than a query shows; the cursor stays there",
		"subject", subject, "at", at)
}
