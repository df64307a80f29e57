package teamogy

import (
	"context"
	"maps"
	"net/http"
	"sync"
)

// What is known of the tenant's PATCH.
const (
	patchUnknown  = iota
	patchMerges   // properties that are not sent stay
	patchReplaces // properties that are not sent are wiped
	patchSecret   // it cannot be found out; the safe way is right
)

// patchKnowledge is what the client has learnt of the tenant's PATCH. Only one call at a time learns.
type patchKnowledge struct {
	mu       sync.Mutex
	known    int
	learning bool
	single   writtenOnce
}

// merges tells whether only the changed properties need to be sent.
func (c *Client) merges() bool {
	k := &c.patching
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known == patchMerges || k.known == patchUnknown && c.fields.PatchMode == PatchMerge
}

func (k *patchKnowledge) learnt(what int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.known = what
}

// begin tells whether the caller is the one that learns. It calls end then.
func (k *patchKnowledge) begin() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known != patchUnknown || k.learning {
		return false
	}
	k.learning = true
	return true
}

func (k *patchKnowledge) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.learning = false
}

// learn finds out once per client whether PATCH merges properties or replaces them, on a document to which we have just
// written: it sends all properties again but one of our own, and reads back. If that one is still there, PATCH merges.
// If it is gone, PATCH replaces, and ours is put back at once; a retry of the caller would do so too, because it finds
// it missing. A property of somebody else is never left out. Where Teamogy refuses the second PATCH, as where a document
// with its KSeF number is locked, the client stays with the safe way. It costs two requests, four where PATCH replaces.
//
// An error means that ours may be missing: the caller's write must be repeated.
func (c *Client) learn(ctx context.Context, operation string, written Document, wanted propertyValues) error {
	if c.fields.PatchMode == PatchMerge || !c.patching.begin() {
		return nil
	}
	defer c.patching.end()
	probe, ok := c.ownProperty(written, wanted)
	if !ok {
		return nil // another document will do
	}
	sent := maps.Clone(written.Properties)
	delete(sent, probe.Key)
	_, err := c.write(ctx, operation, http.MethodPatch, "documents", c.idParameter(written.ID), patchBody{Properties: sent}, "")
	if e, ok := AsError(err); ok {
		switch {
		case e.mayHaveHappened():
			return err
		case e.refused() || e.Kind == Forbidden:
			c.patching.learnt(patchSecret)
			c.log.InfoContext(ctx, "whether Teamogy's PATCH merges properties cannot be found out; all of a document's are sent each time", "why", err)
		}
		return nil // nothing was changed
	}
	after, err := c.Document(ctx, written.ID)
	if err != nil {
		return err
	}
	if probe.matches(after.Properties[probe.Key]) {
		c.patching.learnt(patchMerges)
		c.log.InfoContext(ctx, "Teamogy's PATCH merges properties; from now on only changed ones are sent")
		return nil
	}
	c.patching.learnt(patchReplaces)
	c.log.InfoContext(ctx, "Teamogy's PATCH replaces properties; all of a document's are sent each time")
	return c.patchProperties(ctx, operation, after, wanted, "")
}

// ownProperty is the property that the probe leaves out: one of ours that was written with a value, never the KSeF
// number, and only where something is left to be sent beside it.
func (c *Client) ownProperty(written Document, wanted propertyValues) (propertyValue, bool) {
	p := c.fields.Properties
	for _, candidate := range []Property{p.KSeFReferenceNumber, p.KSeFUPO, p.KSeFMode, p.KSeFVerificationLink, p.KSeFStatus} {
		for _, v := range wanted {
			if v.Key == candidate.Key && !empty(v.want) && !empty(written.Properties[v.Key]) && len(written.Properties) > 1 {
				return v, true
			}
		}
	}
	return propertyValue{}, false
}
