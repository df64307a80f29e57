package teamogy

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// FirstWrite lets a KSeF number be written with a single request, where FieldMap.PatchMode is "merge". It is the
// caller's record of whether the number may have been written before.
type FirstWrite struct {
	// Due tells whether no earlier attempt can have written to the document, also not one whose answer was lost.
	Due func(context.Context) (bool, error)
	// Begin records that the document is about to be written to. Without it nothing is sent.
	Begin func(context.Context) error
}

const (
	// blindProofs is after how many documents without properties of others PATCH is believed to merge, as the field map
	// says: with such properties, one that survived is enough.
	blindProofs = 3
	// readBackEvery is how many documents are written for one that is read back.
	readBackEvery = 50
)

// writtenOnce is what the client knows of writing with a single request.
type writtenOnce struct {
	proof turn // one caller at a time writes the safe way, until that has shown what is needed

	// By patchKnowledge.mu:
	proven   bool  // values were kept, and properties that were not sent, too
	plain    int   // documents that had no properties to lose
	numbered int64 // a document that has its number
	written  int   // since one was read back
}

// patchOnce writes a KSeF number in one request, where that is proven to work; see PatchSalesInvoice. It is not done
// where it returns false: then the safe way must be taken.
//
// The document is not read before: the view is asked for its state, together with others'. Only one that is shown with
// the status it must have and without a number is written to.
func (c *Client) patchOnce(ctx context.Context, operation string, documentID int64, patch SalesPatch) (done bool, err error) {
	numbered, proven := c.patching.once()
	if !proven {
		return false, nil
	}
	state, held, give, err := c.stateAtTurn(ctx, documentID, numbered)
	if err != nil {
		return false, err
	}
	defer give()
	if !state.told || state.number != "" || patch.From != "" && state.status != patch.From {
		return false, nil
	}
	wanted := c.patchValues(patch, Document{})
	body := patchBody{Properties: wanted.object()}
	if patch.Status != "" && patch.Status != state.status {
		body.Status, body.StatusDate = patch.Status, c.now().In(warsaw).Format(time.DateOnly)
	}
	if err := patch.First.Begin(held); err != nil {
		return false, err
	}
	if _, err := c.write(held, operation, http.MethodPatch, "documents", c.idParameter(documentID), body, body.Status); err != nil {
		return false, c.hiddenOrGone(ctx, documentID, err)
	}
	return true, c.readBackSometimes(ctx, operation, documentID, wanted, patch.Status)
}

// stateAtTurn is the state of an issued invoice that was asked for less than stateHolds ago, and a turn to write to it.
// If it cannot be had in time, nothing is told of it.
func (c *Client) stateAtTurn(ctx context.Context, documentID, numbered int64) (state salesState, held context.Context, give func(), err error) {
	for range 2 {
		if state, err = c.state(ctx, documentID, numbered); err != nil || !state.told {
			break
		}
		if held, give, err = c.AwaitTurn(ctx); err != nil {
			break
		}
		if c.now().Before(state.at.Add(stateHolds)) {
			return state, held, give, nil
		}
		give()
	}
	return salesState{}, ctx, func() {}, err
}

// readBackSometimes looks at one of fifty documents whether Teamogy still keeps what is written.
func (c *Client) readBackSometimes(ctx context.Context, operation string, id int64, wanted propertyValues, status string) error {
	if !c.patching.readsBack() {
		return nil
	}
	after, err := c.Document(ctx, id)
	if err != nil {
		return nil //nolint:nilerr // it was written; only the look is missing
	}
	differing := unsaved(wanted, status, after)
	if len(differing) == 0 {
		return nil
	}
	c.patching.disprove()
	return &Error{
		Operation: operation, Kind: NotSaved,
		Detail: fmt.Sprintf("Teamogy accepted it but reading back showed other values of %s: check that these exist in Teamogy with the type that the field map says",
			strings.Join(differing, ", ")),
	}
}

func (k *patchKnowledge) once() (numbered int64, proven bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.single.numbered, k.single.proven
}

func (k *patchKnowledge) readsBack() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.single.written++
	if k.single.written < readBackEvery {
		return false
	}
	k.single.written = 0
	return true
}

func (k *patchKnowledge) disprove() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.single.proven, k.single.plain = false, 0
}

// prove takes what a PATCH in the safe way has shown: everything was kept, beside so many properties of others.
func (k *patchKnowledge) prove(id int64, others int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.single.numbered = id
	if others == 0 {
		k.single.plain++
	}
	k.single.proven = k.single.proven || k.known != patchReplaces && (others > 0 || k.single.plain >= blindProofs)
}
