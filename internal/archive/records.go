package archive

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Direction says which way an invoice went.
type Direction string

// The two directions.
const (
	Received Direction = "received" // from KSeF to Teamogy
	Sent     Direction = "sent"     // from Teamogy to KSeF
)

// RecordKey names the record of one invoice.
type RecordKey struct {
	Connection string
	Direction  Direction
	ID         string // received: the KSeF number; sent: the Teamogy document's ID
}

// Fact is one thing that is known to have happened to an invoice. It is written once, before or right after
// the call that it is about, and never changed; a record's state is the fold of its facts, done by the
// reader.
type Fact struct {
	// Kind says what happened, such as "submitted" or "accepted": letters and digits, with single '-' or
	// '_' between them.
	Kind string
	// At is when, to the nanosecond: facts are folded in this order.
	At time.Time
	// Name tells facts of one kind apart, such as a session's reference; "" when there is only one. The
	// same Kind and Name are the same fact.
	Name string
	// Data is the fact's own JSON; nil if the kind says it all.
	Data json.RawMessage
}

// storedFact is a fact as it lies in the archive: it says itself where it belongs.
type storedFact struct {
	Connection string          `json:"connection"`
	Direction  Direction       `json:"direction"`
	ID         string          `json:"id"`
	Kind       string          `json:"kind"`
	Name       string          `json:"name,omitempty"`
	At         string          `json:"at"` // factTime
	Data       json.RawMessage `json:"data,omitempty"`
}

// factTime is how a fact's time is written: UTC, always nine decimals, so that it also sorts as text.
const factTime = "2006-01-02T15:04:05.000000000Z"

// isFactTime says whether a time is one that factTime can write and that reads back.
func isFactTime(at time.Time) bool {
	year := at.UTC().Year()
	return !at.IsZero() && year >= 0 && year <= 9999
}

// AddFact adds a fact to a record. If a fact with its Kind and Name is there already, added is false and
// the one that is there stays, whatever its time and data; if what is there is no fact, that is a
// *CorruptError. (It may be this very call's own: over S3 an
// answer can get lost and the repetition find the object there. So decide on the facts, not on added.)
func (a *Archive) AddFact(ctx context.Context, record RecordKey, fact Fact) (added bool, err error) {
	id, err := record.check()
	if err != nil {
		return false, fmt.Errorf("add a fact to the archive: %w", err)
	}
	file, err := factFile(fact.Kind, fact.Name)
	if err != nil {
		return false, fmt.Errorf("add a fact to the record of %s: %w", record.ID, err)
	}
	if !isFactTime(fact.At) {
		return false, fmt.Errorf("add the fact %s to the record of %s: it has no time, or one of no year from 0 to 9999", fact.Kind, record.ID)
	}
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded) // one line break at the end, two blanks: read with cat
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(storedFact{
		Connection: record.Connection, Direction: record.Direction, ID: record.ID,
		Kind: fact.Kind, Name: fact.Name, At: fact.At.UTC().Format(factTime), Data: fact.Data,
	}); err != nil {
		return false, fmt.Errorf("add the fact %s to the record of %s: encode it: %w", fact.Kind, record.ID, err)
	}
	key := recordFolder(record, id) + file
	err = a.store.Create(ctx, key, encoded.Bytes())
	if errors.Is(err, ErrExists) {
		return false, a.checkFact(ctx, key)
	}
	return err == nil, err
}

// checkFact says whether what lies at a key is a fact. Who is told that its fact is there already goes on
// with the call that it is about; better to find out before.
func (a *Archive) checkFact(ctx context.Context, key string) error {
	data, err := a.store.Read(ctx, key)
	if err == nil {
		_, err = decodeFact(key, data)
	}
	return err
}

// Damaged is the error for a fact whose data is not what a fact of its kind says: only the reader knows.
func (k RecordKey) Damaged(fact Fact) error {
	id, err := k.check()
	if err != nil {
		return err
	}
	file, err := factFile(fact.Kind, fact.Name)
	if err != nil {
		return err
	}
	return &CorruptError{Key: recordFolder(k, id) + file, Reason: "the data of the fact in it is not that of its kind"}
}

// Facts returns the facts of a record, sorted by At, then Kind, then Name; none for an unknown record.
// A fact that cannot be read is a *CorruptError naming its key: a fold over the rest could be wrong.
func (a *Archive) Facts(ctx context.Context, record RecordKey) ([]Fact, error) {
	id, err := record.check()
	if err != nil {
		return nil, fmt.Errorf("read a record of the archive: %w", err)
	}
	keys, err := a.store.List(ctx, recordFolder(record, id))
	if err != nil {
		return nil, err
	}
	var facts []Fact
	for _, key := range keys {
		data, err := a.store.Read(ctx, key)
		if err != nil {
			return nil, err
		}
		fact, err := decodeFact(key, data)
		if err != nil {
			return nil, err
		}
		facts = append(facts, fact)
	}
	slices.SortFunc(facts, func(x, y Fact) int {
		return cmp.Or(x.At.Compare(y.At), strings.Compare(x.Kind, y.Kind), strings.Compare(x.Name, y.Name))
	})
	return facts, nil
}

func recordFolder(record RecordKey, escapedID string) string {
	return "records/" + record.Connection + "/" + string(record.Direction) + "/" + escapedID + "/"
}

func decodeFact(key string, data []byte) (Fact, error) {
	var stored storedFact
	if err := json.Unmarshal(data, &stored); err != nil {
		return Fact{}, &CorruptError{Key: key, Reason: fmt.Sprintf("its %d bytes are not the JSON of a fact", len(data))}
	}
	record := RecordKey{stored.Connection, stored.Direction, stored.ID}
	id, err := record.check()
	var file string
	if err == nil {
		file, err = factFile(stored.Kind, stored.Name)
	}
	if err != nil || recordFolder(record, id)+file != key {
		return Fact{}, &CorruptError{Key: key, Reason: "the fact in it belongs elsewhere"}
	}
	at, err := time.Parse(time.RFC3339Nano, stored.At)
	if err != nil || !isFactTime(at) {
		return Fact{}, &CorruptError{Key: key, Reason: "the fact in it has no time"}
	}
	fact := Fact{Kind: stored.Kind, At: at, Name: stored.Name}
	if stored.Data != nil {
		var compact bytes.Buffer
		if err := json.Compact(&compact, stored.Data); err != nil {
			return Fact{}, &CorruptError{Key: key, Reason: "the data of the fact in it is no JSON"}
		}
		fact.Data = compact.Bytes()
	}
	return fact, nil
}
