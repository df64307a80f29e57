package activities

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// batchInput asks to send a whole plan as a package.
func batchInput(plan flow.ListRef) flow.SendBatchInput {
	in := flow.SendBatchInput{Connection: "acme", Form: "FA (3) 1-0E", Plan: plan}
	for i := range plan.Count {
		in.Send = append(in.Send, i)
	}
	return in
}

// attempt runs an activity's method as its n-th attempt.
func attempt(t *testing.T, n int) context.Context {
	t.Helper()
	return context.WithValue(t.Context(), attemptCountKey{}, n)
}

// ownTemp gives the test a folder for temporary files of its own, and sees that
// nothing is left in it.
func ownTemp(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left, "a package's files were left behind")
	})
	return dir
}

func TestSendBatch_recordsEveryInvoiceBeforeTheFirstPartLeaves(t *testing.T) {
	ownTemp(t)
	client := &fakeKSeF{}
	b := testBase(t, client)
	plan, items := sent(t, b, "one", "two", "three")
	client.onUpload = func(int, string) error {
		for _, item := range items {
			record, err := b.sentRecord(t.Context(), "acme", item.DocumentID)
			require.NoError(t, err)
			require.Equal(t, []sessionFact{{SHA256: item.SHA256, Session: "batch-1", RunID: "run1", Batch: true}}, record.Submissions)
		}
		return nil
	}
	out, err := (&Session{b}).SendBatch(t.Context(), batchInput(plan))
	require.NoError(t, err)
	require.Equal(t, "batch-1", out.Session.Reference)
	require.Empty(t, out.Left)
	require.Equal(t, 1, client.parts["batch-1"])
	require.Empty(t, client.closedB, "the package was given to KSeF before the session's history knows of it")
}

func TestSendBatch_packsTheSameBytesOnceForTwoDocuments(t *testing.T) {
	ownTemp(t)
	client := &fakeKSeF{}
	b := testBase(t, client)
	plan, _ := sent(t, b, "same", "same", "other")
	once, _ := sent(t, b, "same", "other")
	s := &Session{b}
	_, err := s.SendBatch(t.Context(), batchInput(plan))
	require.NoError(t, err)
	_, err = s.SendBatch(t.Context(), batchInput(once))
	require.NoError(t, err)
	require.Equal(t, client.batches[1].Size, client.batches[0].Size)
}

func TestSendBatch_leavesWhatCannotBeReadAndSendsTheRest(t *testing.T) {
	ownTemp(t)
	client := &fakeKSeF{}
	b := testBase(t, client)
	_, items := sent(t, b, "one", "two")
	items[0].SHA256 = hashHex([]byte("not in the archive"))
	list, err := b.Archive.PutList(t.Context(), items, len(items))
	require.NoError(t, err)
	out, err := (&Session{b}).SendBatch(t.Context(), batchInput(flow.ListRef(list)))
	require.NoError(t, err)
	require.Equal(t, []int{0}, out.Left)
	require.Equal(t, "batch-1", out.Session.Reference)
	record, err := b.sentRecord(t.Context(), "acme", 1)
	require.NoError(t, err)
	require.Empty(t, record.Submissions, "the record says that it was submitted")

	list, err = b.Archive.PutList(t.Context(), items[:1], 1)
	require.NoError(t, err)
	out, err = (&Session{b}).SendBatch(t.Context(), batchInput(flow.ListRef(list)))
	require.NoError(t, err)
	require.Equal(t, flow.SentBatch{Left: []int{0}}, out)
	require.Len(t, client.batches, 1, "a session was opened for nothing")
}

func TestSendBatch_uploadsAPartAgainAfterALostAnswer(t *testing.T) {
	for _, kind := range []ksef.Kind{ksef.KindNetwork, ksef.KindGateway, ksef.KindServer} {
		ownTemp(t)
		client := &fakeKSeF{onUpload: func(n int, _ string) error {
			if n == 0 {
				return lost(kind)
			}
			return nil
		}}
		b := testBase(t, client)
		plan, _ := sent(t, b, "one", "two")
		out, err := (&Session{b}).SendBatch(t.Context(), batchInput(plan))
		require.NoError(t, err)
		require.Equal(t, "batch-1", out.Session.Reference)
		require.Equal(t, 2, client.uploads)
		require.Len(t, client.batches, 1)
	}
}

// Links cannot be had again: a new session is opened for the same package, not
// at once, and the record says of the first one that it came to nothing.
func TestSendBatch_opensAnotherSessionWhenALinkHasEnded(t *testing.T) {
	ownTemp(t)
	client := &fakeKSeF{onUpload: func(_ int, session string) error {
		if session == "batch-1" {
			return &ksef.Error{Operation: "upload", Kind: ksef.KindGone}
		}
		return nil
	}}
	b := testBase(t, client)
	b.Connections.(*fakeConnections).settings.TimeScale = 1
	plan, items := sent(t, b, "one", "two")
	s := &Session{b}
	_, err := s.SendBatch(attempt(t, 1), batchInput(plan))
	require.Equal(t, flow.ErrKSeFRefused, typeOfFailure(t, err))
	require.GreaterOrEqual(t, putOff(t, err), betweenPackages)
	require.Equal(t, 1, client.uploads, "an expired link was tried again")
	out, err := s.SendBatch(attempt(t, 2), batchInput(plan))
	require.NoError(t, err)
	require.Equal(t, "batch-2", out.Session.Reference)
	for _, item := range items {
		record, err := b.sentRecord(t.Context(), "acme", item.DocumentID)
		require.NoError(t, err)
		require.Len(t, record.Submissions, 2)
		require.Len(t, record.Ends, 1)
		require.Equal(t, "batch-1", record.Ends[0].Session)
		require.Equal(t, factNotProcessed, record.Ends[0].Kind)
		require.Equal(t, "batch-2", record.outcomeOf(item.SHA256, "run1").Open.Session)
	}
}

func TestSendBatch_givesThePackageUpInTheEndSoThatItsInvoicesComeAgain(t *testing.T) {
	ownTemp(t)
	client := &fakeKSeF{openErr: func(int) error { return ofKSeF(ksef.KindServer) }}
	b := testBase(t, client)
	plan, _ := sent(t, b, "one", "two")
	_, err := (&Session{b}).SendBatch(attempt(t, outageTries-1), batchInput(plan))
	require.Error(t, err)
	out, err := (&Session{b}).SendBatch(attempt(t, outageTries), batchInput(plan))
	require.NoError(t, err)
	require.Equal(t, flow.SentBatch{Session: flow.Opened{Attempts: outageTries}, Left: []int{0, 1}}, out)
}

// A dead worker's files: those of the same session at once, others when no
// attempt can be using them.
func TestSendBatch_removesWhatDeadWorkersLeftBehind(t *testing.T) {
	dir := ownTemp(t)
	client := &fakeKSeF{}
	b := testBase(t, client)
	b.Now = time.Now
	plan, _ := sent(t, b, "one", "two")
	own := (&batch{Session: &Session{b}}).folderName(t.Context())
	for _, name := range []string{own + "1", batchFolders + "long-ago-1"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, name), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name, "part-1"), []byte("encrypted"), 0o600))
	}
	old := time.Now().Add(-2 * leftoverAge)
	require.NoError(t, os.Chtimes(filepath.Join(dir, batchFolders+"long-ago-1"), old, old))
	alive := filepath.Join(dir, batchFolders+"of-another-worker-1")
	require.NoError(t, os.Mkdir(alive, 0o700))
	_, err := (&Session{b}).SendBatch(t.Context(), batchInput(plan))
	require.NoError(t, err)
	require.DirExists(t, alive)
	require.NoError(t, os.Remove(alive))
}

func TestCloseSession_ofAPackage(t *testing.T) {
	missing := func(int) error { return ofKSeF(ksef.KindRejected, ksef.CodePartMissing) }
	cases := map[string]struct {
		close   func(int) error
		status  int
		attempt int
		want    flow.Closed
		fails   bool
	}{
		"closed":                         {},
		"closed before":                  {close: func(int) error { return ofKSeF(ksef.KindRejected, ksef.CodeSessionForbids) }},
		"lost answer, and it was closed": {close: func(int) error { return lost(ksef.KindGateway) }, status: 150},
		"lost answer, and it is open":    {close: func(int) error { return lost(ksef.KindGateway) }, status: 100, fails: true},
		"it cannot be closed for long":   {close: func(int) error { return lost(ksef.KindServer) }, status: 100, attempt: closeTries},
		"a part is not there yet":        {close: missing, status: 100, fails: true},
		"a part is lost":                 {close: missing, status: 100, attempt: lostTries, want: flow.Closed{Lost: true}},
		"a part is said to be missing, after a close whose answer was lost": {close: missing, status: 150, attempt: lostTries},
		"too late: KSeF has cancelled it":                                   {close: func(int) error { return ofKSeF(ksef.KindRejected, ksef.CodeUploadTooLate) }, status: 440},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client := &fakeKSeF{closeB: c.close, status: map[string]ksef.SessionStatus{"batch-1": {Code: c.status}}}
			out, err := (&Session{testBase(t, client)}).CloseSession(attempt(t, max(1, c.attempt)), flow.CloseInput{Connection: "acme", Reference: "batch-1", Batch: true})
			require.Equal(t, c.fails, err != nil, "%v", err)
			require.Equal(t, c.want, out)
			require.Equal(t, []string{"batch-1"}, client.closedB)
			require.Empty(t, client.closed, "it was closed as an online session")
		})
	}
}

// Closing a package's session sends its invoices: nobody but the session that
// uploaded it may do that.
func TestFind_neverClosesAPackage(t *testing.T) {
	client := &fakeKSeF{status: map[string]ksef.SessionStatus{"s": {Code: ksef.StatusOpen}}}
	b := testBase(t, client)
	status, err := (&Session{b}).listsOf(client, 1000).find(t.Context(), "s", hashHex([]byte("one")), false, true)
	require.NoError(t, err)
	require.Nil(t, status)
	require.Empty(t, client.closed)
	require.Empty(t, client.closedB)
}

// KSeF may be at work on a package before its list shows any invoice: what is
// in it is not sent again.
func TestFind_waitsForAPackageThatKSeFIsWorkingOn(t *testing.T) {
	for _, second := range []int{ksef.StatusProcessing, ksef.StatusOpen} {
		client := &fakeKSeF{onState: func(n int, _ string) (ksef.SessionStatus, error) {
			if n == 0 {
				return ksef.SessionStatus{Code: second}, nil
			}
			return ksef.SessionStatus{Code: ksef.StatusProcessing}, nil
		}}
		b := testBase(t, client)
		_, err := (&Session{b}).listsOf(client, 1000).find(t.Context(), "s", hashHex([]byte("one")), false, true)
		require.Equal(t, flow.ErrKSeFNotYet, classify(err).Type)
	}
}

// However many invoices a dead session had: its list and its state are not asked
// for each of them.
func TestFind_asksOnceForManyInvoicesOfOneSession(t *testing.T) {
	client := &fakeKSeF{status: map[string]ksef.SessionStatus{"s": {Code: 440}}}
	b := testBase(t, client)
	lists := (&Session{b}).listsOf(client, 1000)
	for i := range 50 {
		_, err := lists.find(t.Context(), "s", hashHex([]byte{byte(i)}), false, true)
		require.NoError(t, err)
	}
	require.Equal(t, 1+len(lookPauses), client.asked["s"])
	require.LessOrEqual(t, client.states, 3)
}

func TestBuildSession_sendsAgainWhatAPackageNeverBroughtToKSeF(t *testing.T) {
	client := &fakeKSeF{status: map[string]ksef.SessionStatus{"earlier": {Code: 440}}}
	b := testBase(t, client)
	_, items := sent(t, b, "one")
	s := &Session{b}
	require.NoError(t, s.noteSubmitted(t.Context(), "acme", items[0].HandOver, "earlier", true))
	what, planned, err := s.fateOf(t.Context(), "acme", items[0].HandOver, s.listsOf(client, 1000))
	require.NoError(t, err)
	require.Equal(t, toSend, what)
	require.Empty(t, planned.Session)
	record, err := b.sentRecord(t.Context(), "acme", 1)
	require.NoError(t, err)
	require.Len(t, record.Ends, 1, "every later session would look into the dead one")
}

// What happens to a package as a whole, and to its invoices.
func TestCollectResults_ofAPackage(t *testing.T) {
	for name, c := range map[string]struct {
		session int
		list    []ksef.InvoiceStatus
		decided []int
		again   []int
	}{
		"all accepted":                      {200, []ksef.InvoiceStatus{listed("one", 200), listed("two", 200)}, []int{0, 1}, nil},
		"one fails alone":                   {200, []ksef.InvoiceStatus{listed("one", 450), listed("two", 200)}, []int{0, 1}, nil},
		"445: all fail, each by itself":     {445, []ksef.InvoiceStatus{listed("one", 450), listed("two", 430)}, []int{0, 1}, nil},
		"445, and one was cancelled":        {445, []ksef.InvoiceStatus{listed("one", 450), listed("two", 550)}, []int{0}, []int{1}},
		"405: the package was not verified": {405, nil, nil, []int{0, 1}},
		"415: the key was not decrypted":    {415, nil, nil, []int{0, 1}},
		"420: too many invoices":            {420, nil, nil, []int{0, 1}},
		"430: not decompressed":             {430, nil, nil, []int{0, 1}},
		"435: a part was not decrypted":     {435, nil, nil, []int{0, 1}},
		"440: nothing came in time":         {440, nil, nil, []int{0, 1}},
		"500":                               {500, []ksef.InvoiceStatus{listed("one", 405), listed("two", 405)}, nil, []int{0, 1}},
		"500, and one was accepted before":  {500, []ksef.InvoiceStatus{listed("one", 200), listed("two", 150)}, []int{0}, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			client := &fakeKSeF{
				lists:  map[string][]ksef.InvoiceStatus{"batch-1": c.list},
				status: map[string]ksef.SessionStatus{"batch-1": {Code: c.session}},
			}
			b := testBase(t, client)
			plan, items := sent(t, b, "one", "two")
			for _, item := range items {
				require.NoError(t, (&Session{b}).noteSubmitted(t.Context(), "acme", item.HandOver, "batch-1", true))
			}
			out, err := (&Session{b}).CollectResults(t.Context(), flow.AwaitInput{Connection: "acme", Reference: "batch-1", Plan: plan, Open: []int{0, 1}, Batch: true})
			require.NoError(t, err)
			require.Equal(t, c.decided, out.Decided)
			require.Equal(t, c.again, out.Again)
		})
	}
}

func TestFetchUPO_usesTheLinkOfTheListFirst(t *testing.T) {
	client := &upoKSeF{byLink: "<UPO/>"}
	b := testBase(t, client)
	_, items := sent(t, b, "one")
	answer := flow.Transmitted{DocumentID: 1, SHA256: items[0].SHA256, KSeFNumber: "number", SessionReference: "s", InvoiceReference: "i"}
	require.NoError(t, (&Session{b}).noteAccepted(t.Context(), "acme", items[0].HandOver, answer, "https://storage/upo"))
	in := flow.RecordNumberInput{Connection: "acme", DocumentID: 1, Answer: answer}
	out, err := (&KSeF{b}).FetchUPO(t.Context(), in)
	require.NoError(t, err)
	require.True(t, out.Available)
	require.Zero(t, client.asked, "it cost quota")
}

func TestFetchUPO_asksKSeFWhenTheLinkHasEnded(t *testing.T) {
	client := &upoKSeF{}
	b := testBase(t, client)
	_, items := sent(t, b, "one")
	answer := flow.Transmitted{DocumentID: 1, SHA256: items[0].SHA256, KSeFNumber: "number", SessionReference: "s", InvoiceReference: "i"}
	require.NoError(t, (&Session{b}).noteAccepted(t.Context(), "acme", items[0].HandOver, answer, "https://storage/upo"))
	out, err := (&KSeF{b}).FetchUPO(t.Context(), flow.RecordNumberInput{Connection: "acme", DocumentID: 1, Answer: answer})
	require.NoError(t, err)
	require.True(t, out.Available)
	require.Equal(t, 1, client.asked)
}

// upoKSeF gives a confirmation by its link, if it has one, and by its endpoint.
type upoKSeF struct {
	KSeFClient
	byLink string
	asked  int
}

func (u *upoKSeF) UPOByLink(context.Context, ksef.SecretURL) ([]byte, error) {
	if u.byLink == "" {
		return nil, &ksef.Error{Operation: "download", Kind: ksef.KindGone}
	}
	return []byte(u.byLink), nil
}

func (u *upoKSeF) InvoiceStatus(context.Context, string, string) (ksef.InvoiceStatus, error) {
	u.asked++
	return ksef.InvoiceStatus{}, nil
}

func (u *upoKSeF) InvoiceUPO(context.Context, string, string) ([]byte, error) {
	return []byte("<UPO/>"), nil
}

// putOff is how long an activity's error puts its next attempt off.
func putOff(t *testing.T, err error) time.Duration {
	t.Helper()
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	return failure.NextRetryDelay()
}
