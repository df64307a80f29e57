package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/cli/inspect"
	"teamogy-ksef/internal/flow"
)

// conclude looks at everything once more, compares it with the manifest and
// prints the result; the last line is Result.Line.
func (d *demo) conclude(ctx context.Context, gaveUp string) (Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), verifyWithin)
	defer cancel()
	if d.o.Once {
		d.display.finish()
	}
	result, err := d.verify(ctx)
	if err != nil {
		return result, err
	}
	if gaveUp != "" {
		d.say("%s", gaveUp)
		if troubles, err := inspect.Troubles(ctx, d.temporal, Connection); err == nil {
			for _, line := range troubleLines(troubles) {
				d.say("is tried again: %s", line)
			}
		}
	}
	for _, m := range result.Mismatches {
		d.say("NOT AS EXPECTED  %s", m)
	}
	if len(result.Mismatches) > 0 {
		d.say("the end of the worker's log (%s):", d.setup.WorkerLog)
		d.display.plainLine(lastLines(d.setup.WorkerLog, 15))
	}
	if result.complete() {
		d.say("verified: the bytes in the archive and at KSeF (SHA-256), one document for each KSeF number")
	}
	d.say("requests refused for exceeding a limit (429): KSeF %d, Teamogy %d", result.TooManyRequests.KSeF, result.TooManyRequests.Teamogy)
	d.display.plainLine(result.Line())
	if !result.complete() {
		return result, ErrMismatch
	}
	return result, nil
}

// complete tells whether everything reached its end, and there was something
// of each kind.
func (r Result) complete() bool {
	for _, t := range []Tally{r.Received, r.Sent, r.Rejected} {
		if t.Expected == 0 || t.Reached != t.Expected {
			return false
		}
	}
	return len(r.Mismatches) == 0
}

// verify compares the witnesses and the archive with the manifest.
func (d *demo) verify(ctx context.Context) (Result, error) {
	result := Result{Setup: d.setup, Elapsed: d.elapsed(), WorkerStarts: d.worker.started()}
	evidence, err := d.witnesses.ask(ctx)
	if err != nil {
		return result, fmt.Errorf("verify the result: %w", err)
	}
	d.explainFailures(ctx, evidence)
	kept, err := archive.Open(ctx, d.setup.ArchiveURL)
	if err != nil {
		return result, fmt.Errorf("verify the archive: %w", err)
	}
	defer kept.Close()

	verdicts := d.manifest.judgeAll(evidence)
	for n, i := range d.manifest {
		v := &verdicts[n]
		if v.ended && v.wrong == "" {
			v.wrong = archived(ctx, kept, i)
		}
		switch {
		case v.wrong != "":
			result.Mismatches = append(result.Mismatches, Mismatch{i.Direction + " " + i.Label, i.want(), v.wrong})
		case !v.ended:
			result.Mismatches = append(result.Mismatches, Mismatch{i.Direction + " " + i.Label, i.want(), "it is still " + stateName(v.state)})
		}
	}
	result.Received, result.Sent, result.Rejected = d.manifest.tally(verdicts)
	result.Mismatches = append(result.Mismatches, strangers(d.manifest, evidence)...)

	if result.TooManyRequests.KSeF, err = tooManyRequests(ctx, d.witnesses.ksef); err != nil {
		return result, err
	}
	if result.TooManyRequests.Teamogy, err = tooManyRequests(ctx, d.witnesses.teamogy); err != nil {
		return result, err
	}
	// A worker that was killed forgets what it has spent; otherwise no limit
	// may have been met.
	if refused := result.TooManyRequests; result.WorkerStarts == 1 && refused.KSeF+refused.Teamogy > 0 {
		result.Mismatches = append(result.Mismatches, Mismatch{
			"requests", "none refused for exceeding a limit",
			fmt.Sprintf("KSeF refused %d and Teamogy %d", refused.KSeF, refused.Teamogy),
		})
	}
	return result, nil
}

// archived tells what is wrong with an invoice's bytes in the archive.
func archived(ctx context.Context, kept *archive.Archive, i Item) string {
	data, err := kept.Document(ctx, i.SHA256)
	switch {
	case errors.Is(err, archive.ErrNotFound):
		return "its bytes are not in the archive"
	case err != nil:
		return "its bytes cannot be read from the archive: " + err.Error()
	case hash(data) != i.SHA256:
		return "the archive holds other bytes"
	}
	return ""
}

// strangers are purchase invoices in Teamogy and invoices in KSeF that no item
// of the manifest accounts for.
func strangers(m Manifest, e Evidence) []Mismatch {
	numbers, hashes := map[string]bool{}, map[string]bool{}
	for _, i := range m {
		if i.Direction == flow.DirectionReceived {
			numbers[i.KSeFNumber] = true
		} else {
			hashes[i.SHA256] = true
		}
	}
	var found []Mismatch
	for number, documents := range e.Purchases {
		if !numbers[number] {
			found = append(found, Mismatch{fmt.Sprintf("Teamogy document %d", documents[0].ID), "no other purchase invoices", fmt.Sprintf("it has KSeF number %q", number)})
		}
	}
	for sum, held := range e.Held {
		if !hashes[sum] {
			found = append(found, Mismatch{"KSeF number " + held[0], "no bytes at KSeF that Teamogy does not hold", "its SHA-256 is " + sum})
		}
	}
	return found
}

// explainFailures adds to each failed workflow why it failed.
func (d *demo) explainFailures(ctx context.Context, e Evidence) {
	for id, w := range e.Workflows {
		if w.Status != "failed" {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		if err := d.temporal.GetWorkflow(ctx, id, "").Get(ctx, nil); err != nil {
			w.Failure = err.Error()
			e.Workflows[id] = w
		}
		cancel()
	}
}
