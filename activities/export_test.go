package activities

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
)

// exportsAtKSeF is a KSeF with one export, which a test scripts.
type exportsAtKSeF struct {
	fakeKSeF
	order    func(n int, q ksef.ExportQuery) (string, error)
	state    func(n int) (ksef.ExportStatus, error)
	part     func(n int, p ksef.ExportPart) ([]byte, error)
	orders   int
	looks    int
	parts    int
	reserved []ksef.ExportQuery
}

func (f *exportsAtKSeF) OrderExport(_ context.Context, _ ksef.SymmetricKey, q ksef.ExportQuery) (string, error) {
	f.orders++
	f.reserved = append(f.reserved, q)
	return f.order(f.orders, q)
}

func (f *exportsAtKSeF) ExportStatus(context.Context, string) (ksef.ExportStatus, error) {
	f.looks++
	return f.state(f.looks)
}

func (f *exportsAtKSeF) DownloadPart(_ context.Context, p ksef.ExportPart, _ ksef.SymmetricKey, to io.Writer) error {
	f.parts++
	content, err := f.part(f.parts, p)
	if _, failed := to.Write(content); failed != nil {
		return failed
	}
	return err
}

// packed is a package's ZIP: invoices by their KSeF numbers, and the list.
func packed(t *testing.T, invoices map[string]string, listed ...map[string]any) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for number, xml := range invoices {
		f, err := w.Create(number + ".xml")
		require.NoError(t, err)
		_, err = f.Write([]byte(xml))
		require.NoError(t, err)
	}
	if listed != nil {
		f, err := w.Create(ksef.MetadataEntry)
		require.NoError(t, err)
		require.NoError(t, json.NewEncoder(f).Encode(map[string]any{"invoices": listed}))
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func metadataItem(number, xml string, at time.Time) map[string]any {
	return map[string]any{
		"ksefNumber": number, "invoiceHash": base64Hash(xml), "permanentStorageDate": at.Format(time.RFC3339Nano), "grossAmount": len(xml),
	}
}

const numberA, numberB, numberC = "5265877635-20250826-0100001AF629-AF", "5265877635-20250626-010080DD2B5E-26", "5265877635-20250916-0200A0D6723E-C2"

// ready is a KSeF whose export is one package in parts of so many bytes.
func ready(content []byte, count, partBytes int) *exportsAtKSeF {
	f := &exportsAtKSeF{}
	var pieces [][]byte
	for rest := content; len(rest) > 0; {
		n := min(partBytes, len(rest))
		pieces, rest = append(pieces, rest[:n]), rest[n:]
	}
	f.state = func(int) (ksef.ExportStatus, error) {
		s := ksef.ExportStatus{Code: ksef.ExportReady, InvoiceCount: count, Size: int64(len(content)), HWM: someDay}
		for i, p := range pieces {
			s.Parts = append(s.Parts, ksef.ExportPart{Ordinal: i + 1, EncryptedSize: int64(len(p))})
		}
		return s, nil
	}
	f.part = func(_ int, p ksef.ExportPart) ([]byte, error) { return pieces[p.Ordinal-1], nil }
	return f
}

var someSalt = fmt.Sprintf("%064d", 7)

func collectInput() flow.CollectInput {
	return flow.CollectInput{Connection: "acme", Reference: "EH", Salt: someSalt, Patience: time.Hour}
}

func collector(t *testing.T, f *exportsAtKSeF) (*KSeF, *movableClock) {
	t.Helper()
	k := &KSeF{testBase(t, f)}
	t.Setenv("TMPDIR", t.TempDir())
	return k, stopClock(&k.base)
}

// noneLeft proves that no file of a package stays behind.
func noneLeft(t *testing.T) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(os.TempDir(), temporaryPattern))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestCollectExport_keepsEachInvoiceByItsHashAndTheListOfThem(t *testing.T) {
	later := someDay.Add(time.Minute)
	content := packed(t, map[string]string{numberA: "<a/>", numberB: "<bb/>", numberC: "<something else/>"},
		metadataItem(numberA, "<a/>", someDay), metadataItem(numberB, "<bb/>", later), metadataItem(numberC, "<ccc/>", someDay),
		metadataItem(numberA, "<a/>", someDay)) // twice: it counts once
	f := ready(content, 4, 100)
	k, _ := collector(t, f)
	for range 2 { // a repeat stores the same again
		out, err := ran(t, k.CollectExport, collectInput())
		require.NoError(t, err)
		require.Equal(t, flow.ExportReady, out.Outcome)
		require.Equal(t, later, out.Found.LastDate)
		require.Equal(t, someDay, out.Found.HWM)
		require.False(t, out.Found.Truncated)
		require.Equal(t, 2, out.Found.List.Count)
		require.Equal(t, 1, out.Found.Apart.Count, "its bytes are not what the list says")
		var list, apart []foundInvoice
		require.NoError(t, k.Archive.List(t.Context(), archive.ListRef(out.Found.List), &list))
		require.NoError(t, k.Archive.List(t.Context(), archive.ListRef(out.Found.Apart), &apart))
		require.Equal(t, numberA, list[0].KSeFNumber)
		require.Equal(t, numberC, apart[0].KSeFNumber)
		kept, err := k.Archive.Document(t.Context(), hashHex([]byte("<bb/>")))
		require.NoError(t, err)
		require.Equal(t, "<bb/>", string(kept))
	}
	noneLeft(t)
}

// An import finds in the archive what a package has brought, and asks nobody.
func TestFetchInvoiceXML_takesWhatAPackageHasBrought(t *testing.T) {
	f := ready(packed(t, map[string]string{numberA: "<a/>"}, metadataItem(numberA, "<a/>", someDay)), 1, 1000)
	k, _ := collector(t, f)
	out, err := ran(t, k.CollectExport, collectInput())
	require.NoError(t, err)
	var list []foundInvoice
	require.NoError(t, k.Archive.List(t.Context(), archive.ListRef(out.Found.List), &list))
	require.NoError(t, k.note(t.Context(), receivedKey("acme", numberA), factFound, "metadata", &list[0]))
	fetched, err := ran(t, k.FetchInvoiceXML, flow.ImportInput{Connection: "acme", KSeFNumber: numberA, SHA256: hashHex([]byte("<a/>"))})
	require.NoError(t, err) // the fake has no invoice to download
	require.Equal(t, hashHex([]byte("<a/>")), fetched.Document.SHA256)
}

// Of a list alone only what has no document yet is kept.
func TestCollectExport_ofTheListAloneKeepsWhatIsNew(t *testing.T) {
	f := ready(packed(t, nil, metadataItem(numberA, "<a/>", someDay), metadataItem(numberB, "<b/>", someDay)), 2, 1000)
	k, _ := collector(t, f)
	require.NoError(t, k.note(t.Context(), receivedKey("acme", numberA), factCreated, "document", createdFact{DocumentID: 5}))
	in := collectInput()
	in.OnlyMetadata = true
	out, err := ran(t, k.CollectExport, in)
	require.NoError(t, err)
	require.Equal(t, 1, out.Found.List.Count)
	require.Zero(t, out.Found.Apart.Count)
	var list []foundInvoice
	require.NoError(t, k.Archive.List(t.Context(), archive.ListRef(out.Found.List), &list))
	require.Equal(t, numberB, list[0].KSeFNumber)
}

// A cut off package says where it goes on and where it may be divided; a last
// date that KSeF names beyond what the list shows is not believed.
func TestCollectExport_tellsWhereACutOffPackageEnds(t *testing.T) {
	f := ready(packed(t, nil, metadataItem(numberA, "<a/>", someDay), metadataItem(numberB, "<bbbb/>", someDay.Add(time.Second)),
		metadataItem(numberC, "<ccccccc/>", someDay)), 3, 1000)
	k, _ := collector(t, f)
	state := f.state
	for _, said := range []time.Time{{}, someDay.Add(time.Hour), someDay.Add(time.Second)} {
		f.state = func(n int) (ksef.ExportStatus, error) {
			s, err := state(n)
			s.Truncated, s.LastDate = true, said
			return s, err
		}
		out, err := ran(t, k.CollectExport, collectInput())
		require.NoError(t, err)
		require.True(t, out.Found.Truncated && out.Found.HasMore)
		require.Equal(t, someDay.Add(time.Second), out.Found.LastDate)
		require.Equal(t, fmt.Sprint(len("<bbbb/>")), out.Found.Median)
	}
}

func TestCollectExport_ofNothingIsReadyWithoutParts(t *testing.T) {
	k, _ := collector(t, ready(nil, 0, 1))
	out, err := ran(t, k.CollectExport, collectInput())
	require.NoError(t, err)
	require.Equal(t, flow.CollectedExport{Outcome: flow.ExportReady, Found: flow.CollectedList{Found: flow.Found{HWM: someDay}}}, out)
}

// What became of an export is an outcome, which the workflow decides on.
func TestCollectExport_tellsWhatBecameOfTheExport(t *testing.T) {
	good := packed(t, map[string]string{numberA: "<a/>"}, metadataItem(numberA, "<a/>", someDay))
	at := func(code int) func(int) (ksef.ExportStatus, error) {
		return func(int) (ksef.ExportStatus, error) { return ksef.ExportStatus{Code: code, Description: "said"}, nil }
	}
	failing := func(err error) func(int) (ksef.ExportStatus, error) {
		return func(int) (ksef.ExportStatus, error) { return ksef.ExportStatus{}, err }
	}
	for name, c := range map[string]struct {
		state  func(int) (ksef.ExportStatus, error)
		part   error
		bytes  []byte
		want   string
		reason string
	}{
		"running":                  {state: at(100), want: flow.ExportRunning},
		"of a later version":       {state: at(150), want: flow.ExportRunning},
		"expired":                  {state: at(ksef.ExportExpired), want: flow.ExportFailed, reason: "210 said"},
		"key refused":              {state: at(ksef.ExportKeyRefused), want: flow.ExportFailed, reason: "415 said"},
		"nothing new":              {state: at(ksef.ExportNothingNew), want: flow.ExportNothing},
		"error":                    {state: at(500), want: flow.ExportFailed, reason: "500 said"},
		"cancelled":                {state: at(550), want: flow.ExportFailed, reason: "550 said"},
		"forgotten":                {state: failing(ofKSeF(ksef.KindGone)), want: flow.ExportFailed, reason: "any more"},
		"unknown":                  {state: failing(ofKSeF(ksef.KindRejected, ksef.CodeExportUnknown)), want: flow.ExportFailed, reason: "does not know"},
		"wrong hash":               {part: ofKSeF(ksef.KindHashMismatch), want: flow.ExportDamaged},
		"no archive":               {bytes: []byte("no archive"), want: flow.ExportDamaged, reason: "neither"},
		"cut off":                  {bytes: good[:len(good)-10], want: flow.ExportDamaged, reason: "ZIP"},
		"without a list":           {bytes: packed(t, map[string]string{numberA: "<a/>"}), want: flow.ExportDamaged, reason: "no list"},
		"with an empty list":       {bytes: packed(t, nil, []map[string]any{}...), want: flow.ExportDamaged, reason: "0 invoices, KSeF names 2"},
		"with fewer than it names": {bytes: packed(t, nil, metadataItem(numberA, "<a/>", someDay)), want: flow.ExportDamaged, reason: "KSeF names 2"},
	} {
		t.Run(name, func(t *testing.T) {
			content := good
			count := 1
			if c.bytes != nil {
				content, count = c.bytes, 2
			}
			f := ready(content, count, 1000)
			if c.state != nil {
				f.state = c.state
			}
			if c.part != nil {
				f.part = func(int, ksef.ExportPart) ([]byte, error) { return []byte("half of it"), c.part }
			}
			k, _ := collector(t, f)
			out, err := ran(t, k.CollectExport, collectInput())
			require.NoError(t, err)
			require.Equal(t, c.want, out.Outcome)
			require.Contains(t, out.Reason, c.reason)
			require.Zero(t, out.Found)
			noneLeft(t)
			if name == "key refused" {
				require.Equal(t, 1, f.forgot, "the public keys are read anew")
			}
		})
	}
}

// It asks with growing pauses, well within KSeF's quota, and no longer than the
// workflow has patience.
func TestCollectExport_asksWithGrowingPausesUntilPatienceEnds(t *testing.T) {
	f := ready(nil, 0, 1)
	f.state = func(int) (ksef.ExportStatus, error) { return ksef.ExportStatus{Code: ksef.ExportRunning}, nil }
	k, clock := collector(t, f)
	connections, is := k.Connections.(*fakeConnections)
	require.True(t, is)
	connections.settings.TimeScale = 1
	in := collectInput()
	in.Patience = 30 * time.Minute
	out, err := ran(t, k.CollectExport, in)
	require.NoError(t, err)
	require.Equal(t, flow.ExportRunning, out.Outcome)
	require.Less(t, f.looks, 80)
	for i, p := range clock.pauses[1:] {
		require.GreaterOrEqual(t, p, clock.pauses[i])
		require.LessOrEqual(t, p, exportLongestPause)
	}
	require.Less(t, clock.now.Sub(someDay), in.Patience+exportLongestPause)
}

// A part that breaks off, and one whose link has ended, are downloaded again
// from their beginning; what was written of them does not stay in the package.
func TestCollectExport_downloadsAPartAgainThatBrokeOffOrWhoseLinkEnded(t *testing.T) {
	content := packed(t, map[string]string{numberA: "<a/>"}, metadataItem(numberA, "<a/>", someDay))
	f := ready(content, 1, 60)
	part := f.part
	f.part = func(n int, p ksef.ExportPart) ([]byte, error) {
		bytes, _ := part(n, p)
		switch n {
		case 2:
			return bytes[:7], ofKSeF(ksef.KindNetwork)
		case 3:
			return nil, ofKSeF(ksef.KindGone)
		case 5:
			return bytes[:3], ofKSeF(ksef.KindHashMismatch)
		}
		return bytes, nil
	}
	k, _ := collector(t, f)
	out, err := ran(t, k.CollectExport, collectInput())
	require.NoError(t, err)
	require.Equal(t, flow.ExportReady, out.Outcome)
	require.Equal(t, 1, out.Found.List.Count)
	require.Equal(t, 2, f.looks, "the status once, and once more for new links")
	noneLeft(t)
}

// Links that end again and again, a network that stays away and a full disk are
// no fault of the package: the activity fails and is tried again.
func TestCollectExport_failsForWhatPassesByItself(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"network": {ofKSeF(ksef.KindNetwork), flow.ErrKSeFUnavailable},
		"quota":   {ofKSeF(ksef.KindRateLimited), flow.ErrKSeFQuota},
		"links":   {ofKSeF(ksef.KindGone), flow.ErrKSeFRefused},
		"disk":    {errors.New("no space left on device"), flow.ErrUnexpected},
	} {
		t.Run(name, func(t *testing.T) {
			f := ready([]byte("something"), 1, 100)
			f.part = func(int, ksef.ExportPart) ([]byte, error) { return []byte("some"), c.err }
			k, _ := collector(t, f)
			_, err := ran(t, k.CollectExport, collectInput())
			require.Equal(t, c.want, typeOfFailure(t, err))
			noneLeft(t)
		})
	}
}

// A package that does not arrive is given up after a good half hour of attempts: the workflow goes on without it. KSeF itself
// being away is waited out.
func TestCollectExport_givesUpAPackageThatDoesNotArrive(t *testing.T) {
	for name, c := range map[string]struct {
		part, status error
		tries        int
		want         string
	}{
		"network":              {part: ofKSeF(ksef.KindNetwork), tries: outageTries, want: flow.ExportUndelivered},
		"network, before that": {part: ofKSeF(ksef.KindNetwork), tries: outageTries - 1},
		"links":                {part: ofKSeF(ksef.KindGone), tries: outageTries, want: flow.ExportUndelivered},
		"disk":                 {part: errors.New("no space left on device"), tries: outageTries, want: flow.ExportUndelivered},
		"disk, before that":    {part: errors.New("no space left on device"), tries: outageTries - 1},
		"damaged":              {part: ofKSeF(ksef.KindHashMismatch), tries: outageTries, want: flow.ExportDamaged},
		"KSeF is away":         {status: ofKSeF(ksef.KindNetwork), tries: 10 * outageTries},
	} {
		t.Run(name, func(t *testing.T) {
			f := ready([]byte("something"), 1, 100)
			f.part = func(int, ksef.ExportPart) ([]byte, error) { return []byte("some"), c.part }
			if c.status != nil {
				f.state = func(int) (ksef.ExportStatus, error) { return ksef.ExportStatus{}, c.status }
			}
			k, _ := collector(t, f)
			out, err := k.CollectExport(context.WithValue(t.Context(), attemptCountKey{}, c.tries), collectInput())
			noneLeft(t)
			if c.want == "" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, out.Outcome)
			require.NotEmpty(t, out.Reason)
			require.Zero(t, out.Found)
		})
	}
	k, _ := collector(t, ready([]byte("something"), 1, 100))
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	out, err := k.CollectExport(context.WithValue(t.Context(), attemptCountKey{}, outageTries), collectInput())
	require.NoError(t, err)
	require.Equal(t, flow.ExportUndelivered, out.Outcome, "no folder for it")
	require.Contains(t, out.Reason, "missing")
}

// slowKSeF is a KSeF whose packages take longer to download than there is time.
type slowKSeF struct{ *exportsAtKSeF }

func (f slowKSeF) DownloadPart(ctx context.Context, _ ksef.ExportPart, _ ksef.SymmetricKey, _ io.Writer) error {
	<-ctx.Done()
	return ctx.Err()
}

// Nor is a package waited for of which one attempt's time is not enough.
func TestCollectExport_givesUpAPackageThatOneAttemptCannotDownload(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	k := &KSeF{testBase(t, slowKSeF{ready([]byte("something"), 1, 100)})}
	ctx, cancel := context.WithTimeout(t.Context(), timeToTell+time.Millisecond)
	defer cancel()
	out, err := k.CollectExport(ctx, collectInput())
	require.NoError(t, err)
	require.Equal(t, flow.ExportUndelivered, out.Outcome)
	noneLeft(t)
}

func TestCheckTemporaryFolder_saysThatPackagesCannotPass(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	require.NoError(t, CheckTemporaryFolder())
	noneLeft(t)
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	require.ErrorContains(t, CheckTemporaryFolder(), "set TMPDIR to a folder on a disk")
}

// A worker that died may have left its file where an open file cannot be removed.
func TestCollectExport_removesWhatADeadWorkerHasLeft(t *testing.T) {
	f := ready(packed(t, map[string]string{numberA: "<a/>"}, metadataItem(numberA, "<a/>", someDay)), 1, 1000)
	k, clock := collector(t, f)
	left := filepath.Join(os.TempDir(), "teamogy-ksef-package-old")
	fresh := filepath.Join(os.TempDir(), "teamogy-ksef-package-fresh")
	for name, age := range map[string]time.Duration{left: 25 * time.Hour, fresh: time.Hour} {
		require.NoError(t, os.WriteFile(name, []byte("invoices"), 0o600))
		require.NoError(t, os.Chtimes(name, clock.now.Add(-age), clock.now.Add(-age)))
	}
	_, err := ran(t, k.CollectExport, collectInput())
	require.NoError(t, err)
	require.NoFileExists(t, left)
	require.FileExists(t, fresh, "another worker may be at it")
}

func TestOrderExport_asksForTheWindowAndTellsWhatKSeFAnswers(t *testing.T) {
	f := &exportsAtKSeF{}
	k := &KSeF{testBase(t, f)}
	in := flow.ExportOrder{Window: flow.Window{Connection: "acme", Subject: "Subject2", From: someDay.Add(-time.Hour), To: someDay}, GrossFrom: "1.05", OnlyMetadata: true}

	f.order = func(int, ksef.ExportQuery) (string, error) { return "EH-1", nil }
	out, err := ran(t, k.OrderExport, in)
	require.NoError(t, err)
	require.Equal(t, "EH-1", out.Reference)
	require.Equal(t, 1, out.Attempts)
	require.Len(t, out.Salt, 64)
	q := f.reserved[0]
	require.Equal(t, "1.05", q.GrossFrom.String())
	require.Nil(t, q.GrossTo)
	require.True(t, q.RestrictToHWM && q.OnlyMetadata)
	require.Equal(t, in.From, q.From)
	require.Equal(t, in.To, q.To)
	again, err := ran(t, k.OrderExport, in)
	require.NoError(t, err)
	require.NotEqual(t, out.Salt, again.Salt, "each package has a key of its own")

	for code, want := range map[int]flow.OrderedExport{
		ksef.CodeBeyondHWM: {Attempts: 1, NothingNew: true}, ksef.CodeTooManyExports: {Attempts: 1, Busy: true},
	} {
		f.order = func(int, ksef.ExportQuery) (string, error) { return "", ofKSeF(ksef.KindRejected, code) }
		out, err := ran(t, k.OrderExport, in)
		require.NoError(t, err)
		require.Equal(t, want, out)
	}
	f.order = func(int, ksef.ExportQuery) (string, error) { return "", ofKSeF(ksef.KindNetwork) }
	_, err = ran(t, k.OrderExport, in)
	require.Equal(t, flow.ErrKSeFUnavailable, typeOfFailure(t, err))
	in.GrossFrom = "many"
	_, err = ran(t, k.OrderExport, in)
	require.Equal(t, flow.ErrBadInput, typeOfFailure(t, err))
}
