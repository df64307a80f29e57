package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/teamogy"
)

// creatingTeamogy is a Teamogy whose answers to creates a test scripts. It finds what the test says is visible.
type creatingTeamogy struct {
	TeamogyClient
	create     func(n int) (teamogy.Document, error) // the n-th POST, from 0
	visible    int64                                 // the document that a look finds; 0: none
	searchable bool
	doubt      bool
	bodies     []string // of the POSTs
	asked      int      // how often it was looked for
	adopt      error
	frozen     func() // what happens after the look
	statuses   int    // how many bodies were prepared: each is another one
	turn       error  // why no turn comes within the quota
}

func (f *creatingTeamogy) RecallDoubt(_ string, since time.Time, _ int64) { f.doubt = !since.IsZero() }
func (f *creatingTeamogy) HighestID() int64                               { return 700 }
func (f *creatingTeamogy) MayCreate() error                               { return nil }
func (f *creatingTeamogy) AwaitTurn(ctx context.Context) (context.Context, func(), error) {
	return ctx, func() {}, f.turn
}
func (f *creatingTeamogy) Ping(context.Context) error { return nil }

func (f *creatingTeamogy) FindDocumentByKSeFNumber(context.Context, string) (teamogy.Document, bool, error) {
	f.asked++
	if f.doubt && !f.searchable {
		return teamogy.Document{}, false, ofTeamogy(teamogy.OutcomeUnknown)
	}
	return teamogy.Document{ID: f.visible, Number: "PI/1"}, f.visible != 0, nil
}

func (f *creatingTeamogy) PreparePurchaseInvoice(n teamogy.NewPurchaseInvoice) (teamogy.PreparedPurchase, error) {
	f.statuses++
	if f.frozen != nil {
		f.frozen()
	}
	return teamogy.PreparedPurchase{KSeFNumber: n.KSeFNumber, Body: []byte(fmt.Sprintf(`{"note":"<&%d>"}`, f.statuses))}, nil
}

func (f *creatingTeamogy) CreatePrepared(_ context.Context, p teamogy.PreparedPurchase, _ time.Time) (teamogy.Document, error) {
	f.bodies = append(f.bodies, string(p.Body))
	return f.create(len(f.bodies) - 1)
}

func (f *creatingTeamogy) AdoptPurchaseInvoice(_ context.Context, id int64, _ string) (teamogy.Document, error) {
	return teamogy.Document{ID: id, Number: "PI/7"}, f.adopt
}

// creating is CreateReceivedInvoice on a record, each call in a run of its own.
func creating(t *testing.T, f *creatingTeamogy) (create func() (flow.ImportResult, error), b base) {
	t.Helper()
	return creatingIn(t, f, func(s archive.Store) archive.Store { return s })
}

func creatingIn(t *testing.T, f *creatingTeamogy, wrap func(archive.Store) archive.Store) (create func() (flow.ImportResult, error), b base) {
	t.Helper()
	b = teamogyBase(t, f)
	store, err := archive.OpenStore(t.Context(), "mem://")
	require.NoError(t, err)
	b.Archive = archive.New(wrap(store))
	ref, err := b.Archive.PutDocument(t.Context(), []byte("no XML"))
	require.NoError(t, err)
	now := someDay
	b.Now = func() time.Time { now = now.Add(time.Minute); return now }
	attempts := 0
	return func() (flow.ImportResult, error) {
		attempts++
		ctx := context.WithValue(t.Context(), attemptKey{}, fmt.Sprintf("attempt-%d", attempts))
		return (&Teamogy{b}).CreateReceivedInvoice(ctx, flow.CreateReceivedInput{Connection: "acme", KSeFNumber: originalNumber, Document: flow.Ref(ref)})
	}, b
}

func unanswered() error { return ofTeamogy(teamogy.Network) }
func refused() error    { return ofTeamogy(teamogy.UnknownStatus) }

// An attempt whose turn within the quota does not come leaves nothing behind, however often that happens.
func TestCreateReceived_recordsNothingBeforeItsTurnHasCome(t *testing.T) {
	f := &creatingTeamogy{searchable: true, turn: ofTeamogy(teamogy.QuotaLocal), create: func(int) (teamogy.Document, error) { return teamogy.Document{ID: 5}, nil }}
	create, b := creating(t, f)
	for range 3 {
		_, err := create()
		require.Equal(t, flow.ErrTeamogyQuota, typeOfFailure(t, err))
	}
	facts, err := b.Archive.Facts(t.Context(), receivedKey("acme", originalNumber))
	require.NoError(t, err)
	require.Empty(t, facts)
	f.turn = nil
	result, err := create()
	require.NoError(t, err)
	require.Equal(t, int64(5), result.DocumentID)
	require.Equal(t, 4, f.asked, "each attempt looks before it creates")
	require.Len(t, f.bodies, 1)
}

// A doubtful create is repeated once, with the very bytes of the first; after that a person must look.
func TestCreateReceived_repeatsADoubtfulCreateOnceWithIdenticalBytes(t *testing.T) {
	f := &creatingTeamogy{searchable: true, create: func(int) (teamogy.Document, error) { return teamogy.Document{}, unanswered() }}
	create, _ := creating(t, f)
	for range 2 {
		_, err := create()
		require.Equal(t, flow.ErrTeamogyUnavailable, typeOfFailure(t, err))
	}
	require.True(t, f.doubt, "the client was not told of the doubt")
	for range 3 {
		_, err := create()
		require.Equal(t, flow.ErrTeamogyOutcomeUnknown, typeOfFailure(t, err))
	}
	require.Len(t, f.bodies, 2)
	require.Equal(t, f.bodies[0], f.bodies[1])
	f.visible = 9 // it has become visible after all
	result, err := create()
	require.NoError(t, err)
	require.Equal(t, int64(9), result.DocumentID)
}

// Where nothing can be searched, a doubtful create is never repeated.
func TestCreateReceived_neverRepeatsADoubtfulCreateWhereNothingCanBeSearched(t *testing.T) {
	f := &creatingTeamogy{create: func(int) (teamogy.Document, error) { return teamogy.Document{}, unanswered() }}
	create, b := creating(t, f)
	_, err := create()
	require.Equal(t, flow.ErrTeamogyUnavailable, typeOfFailure(t, err))
	for range 3 {
		_, err := create()
		require.Equal(t, flow.ErrTeamogyOutcomeUnknown, typeOfFailure(t, err))
	}
	require.Len(t, f.bodies, 1)

	resolve := func(r flow.Resolution) (flow.ImportResult, error) {
		return (&Teamogy{b}).ResolveReceivedInvoice(t.Context(), flow.ResolveReceivedInput{Connection: "acme", KSeFNumber: originalNumber, Resolution: r})
	}
	for kind, want := range map[teamogy.Kind]string{
		teamogy.NotFound: flow.ErrDocumentUnknown, teamogy.Conflict: flow.ErrBadInput, teamogy.Invalid: flow.ErrBadInput, teamogy.Server: flow.ErrTeamogyUnavailable,
	} {
		f.adopt = ofTeamogy(kind)
		_, err = resolve(flow.Resolution{DocumentID: 5})
		require.Equal(t, want, typeOfFailure(t, err), kind)
	}
	f.adopt = nil
	result, err := resolve(flow.Resolution{NotCreated: true, Who: "A. Nowak", Reason: "not in the list"})
	require.NoError(t, err)
	require.Zero(t, result)
	require.False(t, f.doubt)
	f.create = func(int) (teamogy.Document, error) { return teamogy.Document{ID: 11}, nil }
	result, err = create()
	require.NoError(t, err)
	require.Equal(t, flow.ImportResult{DocumentID: 11, Notes: result.Notes}, result)
	require.Len(t, f.bodies, 2)
	_, err = resolve(flow.Resolution{NotCreated: true})
	require.Equal(t, flow.ErrBadInput, typeOfFailure(t, err), "it is there")
	result, err = resolve(flow.Resolution{DocumentID: 11})
	require.NoError(t, err, "the same answer again")
	require.Equal(t, int64(11), result.DocumentID)
}

func TestCreateReceived_takesTheDocumentOverThatAPersonHasNamed(t *testing.T) {
	f := &creatingTeamogy{create: func(int) (teamogy.Document, error) { return teamogy.Document{}, unanswered() }}
	create, b := creating(t, f)
	_, err := create()
	require.Error(t, err)
	result, err := (&Teamogy{b}).ResolveReceivedInvoice(t.Context(), flow.ResolveReceivedInput{
		Connection: "acme", KSeFNumber: originalNumber, Resolution: flow.Resolution{DocumentID: 5, Who: "A. Nowak"},
	})
	require.NoError(t, err)
	require.Equal(t, flow.ImportResult{DocumentID: 5, Number: "PI/7", Existed: true}, result)
	record, err := b.receivedRecord(t.Context(), "acme", originalNumber)
	require.NoError(t, err)
	require.True(t, record.Created.ByHand)
	require.Equal(t, "A. Nowak", record.Created.Who)
}

// A refusal creates nothing: it leaves no doubt, however often it comes, and what was mended meanwhile counts.
func TestCreateReceived_aRefusalLeavesNoDoubt(t *testing.T) {
	for _, kind := range []teamogy.Kind{
		teamogy.Unauthorized, teamogy.Forbidden, teamogy.Invalid, teamogy.UnknownStatus, teamogy.Conflict, teamogy.RateLimited, teamogy.QuotaLocal,
	} {
		f := &creatingTeamogy{create: func(n int) (teamogy.Document, error) {
			if n < 4 {
				return teamogy.Document{}, ofTeamogy(kind)
			}
			return teamogy.Document{ID: 3}, nil
		}}
		create, b := creating(t, f)
		for range 4 {
			_, err := create()
			require.Error(t, err, kind)
			record, err := b.receivedRecord(t.Context(), "acme", originalNumber)
			require.NoError(t, err)
			require.Empty(t, record.doubtful(), kind)
		}
		_, err := create()
		require.NoError(t, err, kind)
		require.NotEqual(t, f.bodies[0], f.bodies[4], "settings that were mended count: %s", kind)
	}
}

// Refused between two doubtful ones, the bytes are made anew; a quota in between changes nothing.
func TestCreateReceived_aRefusalOfTheRepeatedBytesMakesNewOnes(t *testing.T) {
	script := []func() error{unanswered, func() error { return ofTeamogy(teamogy.RateLimited) }, refused, nil}
	f := &creatingTeamogy{searchable: true, create: func(n int) (teamogy.Document, error) {
		if script[n] == nil {
			return teamogy.Document{ID: 3}, nil
		}
		return teamogy.Document{}, script[n]()
	}}
	create, _ := creating(t, f)
	var err error
	for range script {
		_, err = create()
	}
	require.NoError(t, err)
	require.Equal(t, f.bodies[0], f.bodies[1])
	require.Equal(t, f.bodies[0], f.bodies[2])
	require.NotEqual(t, f.bodies[0], f.bodies[3])
}

// Only the attempt that made it knows the ID of a document that does not carry its KSeF number.
func TestCreateReceived_keepsTheDocumentThatDidNotKeepItsNumber(t *testing.T) {
	f := &creatingTeamogy{create: func(int) (teamogy.Document, error) {
		return teamogy.Document{ID: 21}, ofTeamogy(teamogy.NotSaved)
	}}
	create, b := creating(t, f)
	result, err := create()
	require.NoError(t, err)
	require.Equal(t, int64(21), result.DocumentID)
	require.Contains(t, result.Notes[len(result.Notes)-1], "did not keep the KSeF number")
	record, err := b.receivedRecord(t.Context(), "acme", originalNumber)
	require.NoError(t, err)
	require.Equal(t, int64(21), record.Created.DocumentID)
}

// Records of earlier versions note attempts without what they send, and refusals not at all.
func TestDoubtful_countsOldAttemptsOnce(t *testing.T) {
	f := &creatingTeamogy{searchable: true, create: func(int) (teamogy.Document, error) { return teamogy.Document{ID: 3}, nil }}
	create, b := creating(t, f)
	for n := range 5 {
		require.NoError(t, b.note(t.Context(), receivedKey("acme", originalNumber), factCreating, fmt.Sprintf("old-%d", n), flow.Nothing{}))
	}
	record, err := b.receivedRecord(t.Context(), "acme", originalNumber)
	require.NoError(t, err)
	require.Len(t, record.doubtful(), 1)
	require.Equal(t, "old-4", record.doubtful()[0].Name)
	_, err = create()
	require.NoError(t, err)
	require.True(t, f.doubt)
}

// Frozen between its look and its POST, a worker leaves it to the one that has begun meanwhile.
func TestCreateReceived_leavesItToAnotherWorkerThatBeganMeanwhile(t *testing.T) {
	f := &creatingTeamogy{searchable: true, create: func(int) (teamogy.Document, error) { return teamogy.Document{ID: 3}, nil }}
	create, b := creating(t, f)
	f.frozen = func() {
		f.frozen = nil
		require.NoError(t, b.note(t.Context(), receivedKey("acme", originalNumber), factCreating, "other", creatingFact{Body: "{}"}))
	}
	_, err := create()
	require.Equal(t, flow.ErrTeamogyUnavailable, typeOfFailure(t, err))
	require.Empty(t, f.bodies)
	record, err := b.receivedRecord(t.Context(), "acme", originalNumber)
	require.NoError(t, err)
	require.Len(t, record.doubtful(), 1, "only the other one is in doubt")
}

// A gate that closes between the note and the POST leaves no doubt.
func TestCreateReceived_aClosedGateLeavesNoDoubt(t *testing.T) {
	f := &creatingTeamogy{create: func(int) (teamogy.Document, error) {
		return teamogy.Document{}, &notSentError{newProblem(flow.ErrTeamogyStatus, "the gate is closed")}
	}}
	create, b := creating(t, f)
	_, err := create()
	require.Equal(t, flow.ErrTeamogyStatus, typeOfFailure(t, err))
	record, err := b.receivedRecord(t.Context(), "acme", originalNumber)
	require.NoError(t, err)
	require.Empty(t, record.doubtful())
}

// uncertainStore writes an attempt's note and says that it did not, once.
type uncertainStore struct {
	archive.Store
	done bool
}

func (s *uncertainStore) Create(ctx context.Context, key string, data []byte) error {
	err := s.Store.Create(ctx, key, data)
	if err == nil && !s.done && strings.Contains(key, "/"+factCreating) {
		s.done = true
		return errors.New("input/output error")
	}
	return err
}

// An archive that writes the note and then fails leaves no doubt: nothing was sent.
func TestCreateReceived_anAttemptWhoseNoteFailedIsNotInDoubt(t *testing.T) {
	f := &creatingTeamogy{create: func(int) (teamogy.Document, error) { return teamogy.Document{ID: 3}, nil }}
	create, b := creatingIn(t, f, func(s archive.Store) archive.Store { return &uncertainStore{Store: s} })
	_, err := create()
	require.Equal(t, flow.ErrArchiveUnavailable, typeOfFailure(t, err))
	require.Empty(t, f.bodies)
	record, err := b.receivedRecord(t.Context(), "acme", originalNumber)
	require.NoError(t, err)
	require.Len(t, record.Attempts, 1)
	require.Empty(t, record.doubtful())
	_, err = create()
	require.NoError(t, err)
	require.Len(t, f.bodies, 1)
}

// A page with status 404 is believed after a while, if Teamogy answers otherwise.
func TestDeleted_isBelievedOfAPageOnlyWhenItLasts(t *testing.T) {
	f := &creatingTeamogy{}
	require.True(t, deleted(t.Context(), f, ofTeamogy(teamogy.NotFound)))
	require.False(t, deleted(t.Context(), f, ofTeamogy(teamogy.Gateway)))
	require.False(t, deleted(t.Context(), f, errors.New("something else")))
}
