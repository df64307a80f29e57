package activities

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/ksef"
)

// receivedRecord is the fold of a received invoice's facts.
type receivedRecord struct {
	Metadata *ksef.Metadata
	Fetched  *fetchedFact
	Created  *createdFact
	Attempts []creation // to create the purchase invoice, in order
}

// creation is one attempt to create the purchase invoice.
type creation struct {
	creatingFact
	Name string
	At   time.Time
	End  *notCreatedFact // nil: nobody knows what came of it
}

func (b *base) receivedRecord(ctx context.Context, connection, ksefNumber string) (*receivedRecord, error) {
	facts, err := b.Archive.Facts(ctx, receivedKey(connection, ksefNumber))
	if err != nil {
		return nil, err
	}
	r := &receivedRecord{}
	ends := map[string]*notCreatedFact{}
	for _, f := range facts {
		if err := r.fold(f, ends); err != nil {
			return nil, receivedKey(connection, ksefNumber).Damaged(f)
		}
	}
	slices.SortStableFunc(r.Attempts, func(a, b creation) int { return a.At.Compare(b.At) })
	for i := range r.Attempts {
		r.Attempts[i].End = ends[r.Attempts[i].Name]
	}
	return r, nil
}

func (r *receivedRecord) fold(f archive.Fact, ends map[string]*notCreatedFact) error {
	switch f.Kind {
	case factFound:
		r.Metadata = &ksef.Metadata{}
		return json.Unmarshal(f.Data, r.Metadata)
	case factFetched:
		r.Fetched = &fetchedFact{}
		return json.Unmarshal(f.Data, r.Fetched)
	case factCreating:
		attempt := creation{Name: f.Name, At: f.At}
		if err := json.Unmarshal(f.Data, &attempt.creatingFact); err != nil {
			return err
		}
		r.Attempts = append(r.Attempts, attempt)
	case factNotCreated:
		end := &notCreatedFact{}
		ends[f.Name] = end
		return json.Unmarshal(f.Data, end)
	case factCreated:
		r.Created = &createdFact{}
		if err := json.Unmarshal(f.Data, r.Created); err != nil {
			return err
		}
		if r.Created.DocumentID == 0 {
			return errSaysNothing
		}
	}
	return nil // a fact of a newer version
}

// doubtful are the attempts of which nobody knows what came of them, in order. Before attempts were noted with what
// they send, a refused one was not noted either: of those only the last one counts.
func (r *receivedRecord) doubtful() []creation {
	var open []creation
	for i, a := range r.Attempts {
		if a.End != nil || a.Body == "" && slices.ContainsFunc(r.Attempts[i+1:], func(later creation) bool { return later.Body == "" }) {
			continue
		}
		open = append(open, a)
	}
	return open
}

// toRepeat is the body that a doubtful attempt has sent, which must be sent again and no other; empty if there is
// none, or if Teamogy has refused it since.
func (r *receivedRecord) toRepeat() string {
	body := ""
	for _, a := range r.Attempts {
		switch {
		case a.Body == "":
		case a.End == nil:
			body = a.Body
		case a.End.Content && a.Body == body:
			body = ""
		}
	}
	return body
}
