package activities

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
)

func fact(t require.TestingT, kind string, data any) archive.Fact {
	raw, err := json.Marshal(data)
	require.NoError(t, err)
	return archive.Fact{Kind: kind, Data: raw}
}

func folded(t require.TestingT, facts []archive.Fact) *sentRecord {
	r := &sentRecord{}
	for _, f := range facts {
		require.NoError(t, r.fold(f))
	}
	return r
}

var (
	hashes = []string{"hash1", "hash2"}
	runs   = []string{"run1", "run2", "run3"}
)

// history draws a record as it may come about: submissions of contents in
// sessions by runs, some of which KSeF has answered, some of which have ended.
func history(t *rapid.T) []archive.Fact {
	var facts []archive.Fact
	for i := range rapid.IntRange(0, 8).Draw(t, "submissions") {
		s := sessionFact{
			Session: fmt.Sprintf("session%d", i), SHA256: rapid.SampledFrom(hashes).Draw(t, "hash"), RunID: rapid.SampledFrom(runs).Draw(t, "run"),
		}
		facts = append(facts, fact(t, factSubmitted, s))
		if rapid.Bool().Draw(t, "taken over") {
			// A later run watches the same submission.
			later := s
			later.RunID = rapid.SampledFrom(runs).Draw(t, "later run")
			facts = append(facts, fact(t, factSubmitted, later))
		}
		if rapid.Bool().Draw(t, "taken") {
			facts = append(facts, fact(t, factTaken, s))
		}
		switch end := rapid.SampledFrom([]string{"", "", factRejected, factBlocked, factNotProcessed, factAccepted}).Draw(t, "end"); end {
		case "":
		case factAccepted:
			facts = append(facts, fact(t, factAccepted, flow.Transmitted{DocumentID: 1, SHA256: s.SHA256, KSeFNumber: "number-" + s.SHA256}))
		default:
			facts = append(facts, fact(t, end, s))
		}
	}
	return facts
}

func accepted1(facts []archive.Fact) string {
	for _, f := range facts {
		if f.Kind == factAccepted {
			var a flow.Transmitted
			_ = json.Unmarshal(f.Data, &a)
			return a.SHA256
		}
	}
	return ""
}

func TestOutcome_acceptanceCountsForEverAndEveryRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := history(t)
		content := rapid.SampledFrom(hashes).Draw(t, "accepted")
		if accepted1(facts) == "" {
			facts = append(facts, fact(t, factAccepted, flow.Transmitted{SHA256: content, KSeFNumber: "number-" + content}))
		}
		content = accepted1(facts) // the first one counts
		facts = append(facts, history(t)...)
		r := folded(t, facts)
		for _, run := range append(runs, "a run of next year") {
			o := r.outcomeOf(content, run)
			require.NotNil(t, o.Accepted)
			require.Equal(t, "number-"+content, o.Accepted.KSeFNumber)
			require.Nil(t, o.End)
			require.Nil(t, o.Open)
		}
		for _, other := range hashes {
			if other != content {
				require.Nil(t, r.outcomeOf(other, runs[0]).Accepted, "other bytes than the accepted ones")
			}
		}
	})
}

func TestOutcome_endCountsOnlyForTheRunThatSubmitted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := folded(t, history(t))
		for _, hash := range hashes {
			for _, run := range append(runs, "another run") {
				o := r.outcomeOf(hash, run)
				if o.End == nil {
					continue
				}
				require.Nil(t, o.Open)
				require.Equal(t, hash, o.End.SHA256)
				own := false
				for _, s := range r.Submissions {
					own = own || s.Session == o.End.Session && s.SHA256 == hash && s.RunID == run
				}
				require.True(t, own, "the end of somebody else's submission")
			}
		}
	})
}

func TestOutcome_findsTheNewestOpenSubmission(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := history(t)
		r := folded(t, facts)
		for _, hash := range hashes {
			for _, run := range append(runs, "another run") {
				o := r.outcomeOf(hash, run)
				if o.Open != nil {
					require.Equal(t, hash, o.Open.SHA256)
					require.Nil(t, r.endOf(o.Open), "it has ended")
				}
				if accepted1(facts) == hash {
					continue
				}
				var newest *sessionFact
				for i := range r.Submissions {
					if r.Submissions[i].SHA256 == hash {
						newest = &r.Submissions[i]
					}
				}
				if newest != nil && r.endOf(newest) == nil {
					require.NotNil(t, o.Open, "what was sent last and has no end was overlooked")
					require.Equal(t, newest.Session, o.Open.Session)
				}
			}
		}
	})
}

func TestOutcome_tellsWhetherKSeFHasAnswered(t *testing.T) {
	s := sessionFact{Session: "s", SHA256: "hash1", RunID: "run1"}
	facts := []archive.Fact{fact(t, factSubmitted, s)}
	require.False(t, folded(t, facts).outcomeOf("hash1", "run1").Taken)
	require.True(t, folded(t, append(facts, fact(t, factTaken, s))).outcomeOf("hash1", "run2").Taken)
}

// Facts are written by several workers whose clocks differ. Only the order of
// the submissions among themselves, and of acceptances, tells anything.
func TestOutcome_doesNotDependOnTheOrderOfOtherFacts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := history(t)
		var ordered, others []archive.Fact
		for _, f := range facts {
			if f.Kind == factSubmitted || f.Kind == factAccepted {
				ordered = append(ordered, f)
			} else {
				others = append(others, f)
			}
		}
		others = append(others, fact(t, factUPO, flow.Ref{SHA256: "upo"}), fact(t, "of a newer version", map[string]int{"x": 1}))
		others = rapid.Permutation(others).Draw(t, "others")
		mixed := []archive.Fact{}
		for len(ordered)+len(others) > 0 {
			if len(ordered) == 0 || len(others) > 0 && rapid.Bool().Draw(t, "other first") {
				mixed, others = append(mixed, others[0]), others[1:]
			} else {
				mixed, ordered = append(mixed, ordered[0]), ordered[1:]
			}
		}
		a, b := folded(t, facts), folded(t, mixed)
		for _, hash := range hashes {
			require.Equal(t, a.refused(hash, time.Time{}), b.refused(hash, time.Time{}))
			for _, run := range runs {
				require.Equal(t, a.outcomeOf(hash, run), b.outcomeOf(hash, run))
			}
		}
		require.Equal(t, a.everRefused(), b.everRefused())
	})
}

// A fact that was written twice, because an answer was lost, tells nothing
// new.
func TestOutcome_doesNotChangeWhenFactsAreRepeated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := history(t)
		twice := make([]archive.Fact, 0, 2*len(facts))
		for _, f := range facts {
			twice = append(twice, f, f)
		}
		a, b := folded(t, facts), folded(t, twice)
		for _, hash := range hashes {
			for _, run := range runs {
				require.Equal(t, a.outcomeOf(hash, run), b.outcomeOf(hash, run))
			}
		}
	})
}

func TestRefused_knowsRejectedAndWithdrawnContentOnly(t *testing.T) {
	r := folded(t, []archive.Fact{
		fact(t, factRejected, sessionFact{SHA256: "rejected", Type: flow.ErrInvoiceInvalid}),
		fact(t, factBlocked, sessionFact{SHA256: "blocked", Session: "s"}),
		fact(t, factNotProcessed, sessionFact{SHA256: "not processed", Session: "s"}),
		fact(t, factWithdrawn, writtenFact{SHA256: "withdrawn"}),
	})
	require.True(t, r.everRefused())
	require.True(t, r.refused("rejected", time.Time{}))
	require.True(t, r.refused("withdrawn", time.Time{}))
	require.False(t, r.refused("blocked", time.Time{}), "the set-up's fault, not the invoice's")
	require.False(t, r.refused("not processed", time.Time{}))
	require.False(t, r.refused("", time.Time{}))
}

// A fact that says something else than its kind, or nothing, is damage that a
// person mends; the record is not folded without it.
func TestRecord_saysWhichFactCannotBeRead(t *testing.T) {
	for name, data := range map[string]any{"no object": "text", "another object": map[string]any{"sha256": 7}, "nothing": nil, "an empty object": map[string]any{}} {
		t.Run(name, func(t *testing.T) {
			b := testBase(t, nil)
			require.NoError(t, b.note(t.Context(), sentKey("acme", 7), factAccepted, "x", data))
			_, err := b.sentRecord(t.Context(), "acme", 7)
			require.ErrorContains(t, err, "records/acme/sent/7/accepted--x.json is damaged")
			require.Equal(t, flow.ErrArchiveDamaged, classify(err).Type)

			require.NoError(t, b.note(t.Context(), receivedKey("acme", "K"), factCreated, "document", map[string]any{"documentId": data}))
			_, err = b.receivedRecord(t.Context(), "acme", "K")
			require.ErrorContains(t, err, "records/acme/received/K/created--document.json is damaged")
			require.Equal(t, flow.ErrArchiveDamaged, classify(err).Type)
		})
	}
}
