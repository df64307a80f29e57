package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/teamogy"
)

// mostCreates is how many creates of one invoice may be in doubt: the second one is made after the first was looked for
// long and in vain. If nobody knows what came of that either, a person must look.
const mostCreates = 2

// CreateReceivedInvoice makes the purchase invoice of a received invoice. It
// looks for the KSeF number before it creates anything, because an earlier
// attempt may have succeeded although its answer was lost.
//
// The record has each attempt, noted before its POST. One that Teamogy refused
// is noted as such; any other without an end is in doubt, also one of a worker
// that was killed. After that the document is looked for again and again, by
// attempts of this activity, before it is created once more with the same
// bytes. Where it cannot be looked for, or the second create is in doubt too,
// the error is TeamogyOutcomeUnknown.
func (t *Teamogy) CreateReceivedInvoice(ctx context.Context, in flow.CreateReceivedInput) (out flow.ImportResult, err error) {
	defer t.failed(ctx, in.Connection, &err)
	client, c, err := t.Connections.Teamogy(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	record, err := t.receivedRecord(ctx, in.Connection, in.KSeFNumber)
	if err != nil {
		return out, archiving("read the record of "+in.KSeFNumber, err)
	}
	if done := record.Created; done != nil {
		return knownBefore(done), nil
	}
	doubts := record.doubtful()
	if len(doubts) == 0 {
		client.RecallDoubt(in.KSeFNumber, time.Time{}, 0)
	} else {
		last := doubts[len(doubts)-1]
		client.RecallDoubt(in.KSeFNumber, last.At, last.Above)
	}
	ctx = teamogy.WithPriority(ctx, teamogy.Low)
	document, existed, err := client.FindDocumentByKSeFNumber(ctx, in.KSeFNumber)
	if err != nil {
		return out, err
	}
	purchase, err := t.purchase(ctx, c, in, record)
	if err != nil {
		return out, err
	}
	if !existed {
		if len(doubts) >= mostCreates {
			return out, newProblem(flow.ErrTeamogyOutcomeUnknown,
				"creating the received invoice %s was tried at %s and at %s without an answer, and its document is not found",
				in.KSeFNumber, clock(doubts[0].At), clock(doubts[len(doubts)-1].At))
		}
		if document, err = t.create(ctx, client, receivedKey(c.Name, in.KSeFNumber), record, &purchase); err != nil {
			return out, err
		}
	}
	fact := createdFact{DocumentID: document.ID, Number: document.Number, Notes: purchase.notes, Existed: existed}
	return resultOf(fact), archiving("record that the document exists",
		t.note(context.WithoutCancel(ctx), receivedKey(c.Name, in.KSeFNumber), factCreated, "document", fact))
}

func resultOf(fact createdFact) flow.ImportResult {
	return flow.ImportResult{DocumentID: fact.DocumentID, Number: fact.Number, Notes: fact.Notes, Existed: fact.Existed}
}

// knownBefore is the result where the record had the document already.
func knownBefore(fact *createdFact) flow.ImportResult {
	result := resultOf(*fact)
	result.Existed = true
	return result
}

func clock(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// create notes the attempt, makes the POST, and notes it if nothing was made.
// From the first note on a stopping worker does not interrupt it, since that
// would leave a doubt behind.
func (t *Teamogy) create(ctx context.Context, client TeamogyClient, key archive.RecordKey, record *receivedRecord, p *purchase) (teamogy.Document, error) {
	prepared, err := client.PreparePurchaseInvoice(p.NewPurchaseInvoice)
	if err != nil {
		return teamogy.Document{}, err
	}
	if body := record.toRepeat(); body != "" {
		prepared.Body = []byte(body)
	}
	// Nothing is noted before the POST can leave: an attempt that is given up because its turn does not come leaves
	// nothing behind.
	ctx, give, err := client.AwaitTurn(ctx)
	if err != nil {
		return teamogy.Document{}, err
	}
	defer give()
	if err := client.MayCreate(); err != nil {
		return teamogy.Document{}, err
	}
	if err := ctx.Err(); err != nil {
		return teamogy.Document{}, err
	}
	ctx = context.WithoutCancel(ctx)
	attempt, begun := attemptName(ctx), t.Now()
	added, err := t.noteNew(ctx, key, factCreating, attempt, creatingFact{Body: string(prepared.Body), Above: client.HighestID()})
	switch {
	case err != nil:
		t.withdraw(ctx, key, attempt, notCreatedFact{Refused: notSent}) // the note may be there all the same
		return teamogy.Document{}, archiving("record that the document is about to be created", err)
	case !added:
		// Two attempts of one name would hide each other's outcome.
		return teamogy.Document{}, newProblem(flow.ErrUnexpected, "the attempt %s of %s is in the record already", attempt, key.ID)
	}
	if err := t.alone(ctx, key, record, attempt); err != nil {
		t.withdraw(ctx, key, attempt, notCreatedFact{Refused: notSent})
		return teamogy.Document{}, err
	}
	document, err := client.CreatePrepared(ctx, prepared, begun)
	var failure *teamogy.Error
	switch {
	case err == nil:
		return document, nil
	case errors.As(err, &failure) && failure.Kind == teamogy.NotSaved && document.ID != 0:
		// It exists, and only this attempt knows its ID: a person can add the number.
		p.add("Teamogy did not keep the KSeF number %s of this document: add it. (%v)", key.ID, err)
		t.Logger.ErrorContext(ctx, "Teamogy does not keep KSeF numbers: check the field map", "connection", key.Connection, "documentId", document.ID, "error", err)
		return document, nil
	case errors.As(err, new(*notSentError)), errors.As(err, &failure) && !failure.MayHaveHappened():
		refused := notCreatedFact{Refused: notSent}
		if failure != nil {
			refused = notCreatedFact{Refused: string(failure.Kind), Content: ofContent(failure.Kind)}
		}
		t.withdraw(ctx, key, attempt, refused)
	}
	return teamogy.Document{}, err
}

// alone reads the record again after the attempt was noted. If anything was
// begun since it was read first, by another worker while this one was frozen,
// this attempt is given up: of two, at least one sees the other.
func (t *Teamogy) alone(ctx context.Context, key archive.RecordKey, before *receivedRecord, attempt string) error {
	now, err := t.receivedRecord(ctx, key.Connection, key.ID)
	if err != nil {
		return archiving("read the record of "+key.ID+" again", err)
	}
	for _, a := range now.Attempts {
		known := slices.ContainsFunc(before.Attempts, func(b creation) bool { return b.Name == a.Name })
		if a.Name != attempt && !known {
			return newProblem(flow.ErrTeamogyUnavailable, "another worker is creating the invoice %s: this attempt leaves it to that one", key.ID)
		}
	}
	if now.Created != nil {
		return newProblem(flow.ErrTeamogyUnavailable, "another worker has created the invoice %s", key.ID)
	}
	return nil
}

// notSent is why nothing was created where Teamogy was not even asked.
const notSent = "NotSent"

// withdrawTries is how often it is tried to note that an attempt created
// nothing: where that stays unknown, the attempt counts as in doubt for ever.
const withdrawTries = 5

// withdraw notes that an attempt created nothing.
func (t *Teamogy) withdraw(ctx context.Context, key archive.RecordKey, attempt string, end notCreatedFact) {
	var err error
	for range withdrawTries {
		if err = t.note(ctx, key, factNotCreated, attempt, end); err == nil {
			return
		}
	}
	t.Logger.ErrorContext(ctx, "that nothing was created could not be recorded, so it counts as in doubt",
		"connection", key.Connection, "ksefNumber", key.ID, "error", err)
}

// ofContent tells which refusals would meet the same body again.
func ofContent(kind teamogy.Kind) bool {
	switch kind {
	case teamogy.Invalid, teamogy.UnknownStatus, teamogy.Conflict, teamogy.NotFound, teamogy.Forbidden:
		return true
	}
	return false
}

// attemptKey is where a test names an attempt outside an activity.
type attemptKey struct{}

// attemptName names the facts of one attempt of one activity of one run.
func attemptName(ctx context.Context) string {
	if !activity.IsActivity(ctx) {
		name, _ := ctx.Value(attemptKey{}).(string)
		return name
	}
	info := activity.GetInfo(ctx)
	return fmt.Sprintf("%s-%s-%d", short(info.WorkflowExecution.RunID), info.ActivityID, info.Attempt)
}

// ResolveReceivedInvoice takes over what a person has found out about a create
// whose outcome nobody knew: the document that it made, or that it made none.
// Of a document it checks that it can be the one; if it lacks the KSeF number,
// that is written to it. The result is empty if there is none.
func (t *Teamogy) ResolveReceivedInvoice(ctx context.Context, in flow.ResolveReceivedInput) (out flow.ImportResult, err error) {
	defer t.failed(ctx, in.Connection, &err)
	client, c, err := t.Connections.Teamogy(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	record, err := t.receivedRecord(ctx, in.Connection, in.KSeFNumber)
	if err != nil {
		return out, archiving("read the record of "+in.KSeFNumber, err)
	}
	key, r := receivedKey(c.Name, in.KSeFNumber), in.Resolution
	switch done := record.Created; {
	case done != nil && (r.NotCreated || r.DocumentID != done.DocumentID):
		return out, newProblem(flow.ErrBadInput, "the record has %s as this invoice already", documentName(done.DocumentID))
	case done != nil:
		return knownBefore(done), nil
	case r.NotCreated:
		for _, attempt := range record.doubtful() {
			if err := t.note(ctx, key, factNotCreated, attempt.Name, notCreatedFact{ByHand: true, Who: r.Who, Reason: r.Reason}); err != nil {
				return out, archiving("record that nothing was created", err)
			}
		}
		client.RecallDoubt(in.KSeFNumber, time.Time{}, 0)
		return out, nil
	}
	document, err := client.AdoptPurchaseInvoice(teamogy.WithPriority(ctx, teamogy.High), r.DocumentID, in.KSeFNumber)
	var failure *teamogy.Error
	if errors.As(err, &failure) {
		switch failure.Kind {
		case teamogy.NotFound:
			return out, newProblem(flow.ErrDocumentUnknown, "Teamogy has no document %d", r.DocumentID)
		case teamogy.Conflict, teamogy.Invalid:
			return out, newProblem(flow.ErrBadInput, "%v", err)
		}
	}
	if err != nil {
		return out, err
	}
	fact := createdFact{DocumentID: document.ID, Number: document.Number, Existed: true, ByHand: true, Who: r.Who, Reason: r.Reason}
	return resultOf(fact), archiving("record that the document exists", t.note(ctx, key, factCreated, "document", fact))
}
