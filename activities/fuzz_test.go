package activities

import (
	"encoding/json"
	"testing"
	"time"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
)

// FuzzRecord proves that facts of any kind with any data fold to a record or to
// an error that waits for a person, and that a record that was folded answers
// every question.
func FuzzRecord(f *testing.F) {
	for _, s := range [][4]string{
		{factSubmitted, `{"sha256":"a","session":"s","runId":"r"}`, factAccepted, `{"sha256":"a","ksefNumber":"K","sessionReference":"s"}`},
		{factSubmitted, `{"sha256":"a","session":"s"}`, factRejected, `{"sha256":"a","session":"s","type":"IssueDateInFuture"}`},
		{factTaken, `[]`, factWithdrawn, `{}`},
		{factAccepted, `null`, factWrittenBack, `{"ksefNumber":"K"}`},
		{factFound, `{"ksefNumber":"K","grossAmount":1e400,"invoicingDate":"x"}`, factCreated, `{"documentId":"7"}`},
		{factFetched, `{"sha256":7}`, factCreating, `"x"`},
		{"a-newer-kind", `{"a":[1]}`, factUPO, `{"sha256":"a","size":-1}`},
	} {
		f.Add(s[0], []byte(s[1]), s[2], []byte(s[3]))
	}
	f.Fuzz(func(t *testing.T, kind1 string, data1 []byte, kind2 string, data2 []byte) {
		register, err := archive.Open(t.Context(), "mem://")
		if err != nil {
			t.Fatal(err)
		}
		b := base{Dependencies{Archive: register}}
		for _, key := range []archive.RecordKey{sentKey("acme", 7), receivedKey("acme", "K")} {
			for i, fact := range []archive.Fact{{Kind: kind1, Name: "1", Data: data1}, {Kind: kind2, Name: "2", Data: data2}} {
				fact.At = time.Unix(int64(i+1), 0)
				if !json.Valid(fact.Data) {
					return
				}
				if _, err := b.Archive.AddFact(t.Context(), key, fact); err != nil {
					return
				}
			}
		}
		record, err := b.sentRecord(t.Context(), "acme", 7)
		if err != nil {
			if flow.LookupError(classify(err).Type).Type != flow.ErrArchiveDamaged {
				t.Fatalf("no good error: %v", err)
			}
		} else {
			for _, sha256 := range []string{"", "a"} {
				record.outcomeOf(sha256, "r")
				record.refused(sha256, time.Time{})
				record.unsettledOther(sha256)
			}
			if record.numberWritten() && record.Accepted == nil {
				t.Fatal("a number that was not accepted is written back")
			}
			record.everRefused()
		}
		if _, err := b.receivedRecord(t.Context(), "acme", "K"); err != nil && classify(err).Type != flow.ErrArchiveDamaged {
			t.Fatalf("no good error: %v", err)
		}
	})
}
