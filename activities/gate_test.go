package activities

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/teamogy"
)

// gateBed is one worker's gates with a clock that the test moves.
type gateBed struct {
	t        *testing.T
	gates    *Gates
	settings *connection.Connection
	clock    *atomic.Int64 // seconds after someDay
	logs     *lockedLog
}

// lockedLog is a log that many may write.
type lockedLog struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *lockedLog) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.String(), text)
}

func newGateBed(t *testing.T) *gateBed {
	t.Helper()
	a, err := archive.Open(t.Context(), "mem://")
	require.NoError(t, err)
	return gateBedOn(t, a, &atomic.Int64{}, &lockedLog{})
}

func gateBedOn(t *testing.T, a *archive.Archive, clock *atomic.Int64, logs *lockedLog) *gateBed {
	t.Helper()
	now := func() time.Time { return someDay.Add(time.Duration(clock.Load()) * time.Second) }
	return &gateBed{
		t: t, clock: clock, logs: logs, settings: &connection.Connection{Name: "acme", TimeScale: 1},
		gates: NewGates(a, now, slog.New(slog.NewTextHandler(logs, nil))),
	}
}

// another is a second worker on the same archive.
func (b *gateBed) another() *gateBed {
	return gateBedOn(b.t, b.gates.archive, b.clock, b.logs)
}

func (b *gateBed) pass(d time.Duration) { b.clock.Add(int64(d / time.Second)) }

func (b *gateBed) enter(who string, scopes ...string) ([]string, error) {
	return b.gates.enter(b.t.Context(), b.settings, who, scopes...)
}

func (b *gateBed) refuse(who, call string, all bool, err error) {
	b.gates.refuse(b.t.Context(), b.settings, who, call, gateOfCall[call], b.gates.now(), all, err)
}

func (b *gateBed) succeed(who, call string) {
	b.gates.succeeded(b.t.Context(), b.settings, who, call, gateOfCall[call], b.gates.now())
}

// open tells whether somebody new may pass without being a probe.
func (b *gateBed) open(scope string) bool {
	return b.gates.stillOpen("acme", 1, scope) == nil
}

const (
	alertLine = `msg="gate closed`
	openLine  = `msg="gate open again"`
)

func refusedStatus() error {
	return &teamogy.Error{Operation: "create", Kind: teamogy.UnknownStatus, Status: 400, Detail: `the status "IMPORTED" is not configured`, DocumentStatus: "IMPORTED"}
}

func TestRefusalOf_knowsHowFarEachErrorReaches(t *testing.T) {
	named := func(words string) error {
		return &teamogy.Error{Kind: teamogy.Invalid, Status: 400, Body: `{"message":"` + words + `"}`}
	}
	forbidden := func(reason string) error { return &ksef.Error{Kind: ksef.KindForbidden, ReasonCode: reason} }
	for name, c := range map[string]struct {
		call  string
		err   error
		scope string
		want  reach
	}{
		"login refused: 415":                      {callDownload, fmt.Errorf("download: %w", ofKSeF(ksef.KindLoginRefused, 415)), gateKSeF, ofAll},
		"login refused: 450":                      {callOpenSession, ofKSeF(ksef.KindLoginRefused, 450), gateKSeF, ofAll},
		"login refused: 460":                      {"Login", ofKSeF(ksef.KindLoginRefused, 460), gateKSeF, ofAll},
		"401":                                     {callSessionStatus, ofKSeF(ksef.KindUnauthorized), gateKSeF, ofAll},
		"may not read":                            {callQueryMetadata, forbidden("missing-permissions"), gateKSeFRead, ofAll},
		"may not download":                        {callDownload, forbidden("missing-permissions"), gateKSeFRead, ofAll},
		"may not open a session":                  {callOpenSession, forbidden("missing-permissions"), gateKSeFWrite, ofAll},
		"may not send":                            {callSendInvoice, forbidden("missing-permissions"), gateKSeFWrite, ofAll},
		"may not see sessions":                    {callSessionList, forbidden("missing-permissions"), gateKSeFStatus, ofAll},
		"address not allowed, whatever the call":  {"RateLimits", forbidden("ip-not-allowed"), gateKSeF, ofAll},
		"somebody else's session":                 {callSessionList, forbidden("insufficient-resource-access"), gateKSeFStatus, noRefusal},
		"somebody else's invoice":                 {callDownload, forbidden("insufficient-resource-access"), gateKSeFRead, ofOne},
		"the firewall":                            {callDownload, forbidden("security-service-blocked"), gateKSeFRead, noRefusal},
		"a malformed download":                    {callDownload, ofKSeF(ksef.KindRejected, ksef.CodeValidation), gateKSeFRead, ofOne},
		"an unknown invoice":                      {callDownload, ofKSeF(ksef.KindRejected, ksef.CodeInvoiceNotFound), gateKSeFRead, noRefusal},
		"an unknown export":                       {callExportStatus, ofKSeF(ksef.KindRejected, ksef.CodeExportUnknown), gateKSeFRead, noRefusal},
		"a forgotten export":                      {callExportStatus, ofKSeF(ksef.KindGone), gateKSeFRead, noRefusal},
		"too many exports":                        {callOrderExport, ofKSeF(ksef.KindRejected, ksef.CodeTooManyExports), gateKSeFRead, noRefusal},
		"an export of what is not there yet":      {callOrderExport, ofKSeF(ksef.KindRejected, ksef.CodeBeyondHWM), gateKSeFRead, noRefusal},
		"a malformed order of an export":          {callOrderExport, ofKSeF(ksef.KindRejected, ksef.CodeValidation), gateKSeFRead, ofOne},
		"an invoice that is refused when sent":    {callSendInvoice, ofKSeF(ksef.KindRejected, ksef.CodeValidation), gateKSeFWrite, noRefusal},
		"a forgotten session":                     {callSessionStatus, ofKSeF(ksef.KindGone), gateKSeFStatus, noRefusal},
		"KSeF's quota":                            {callDownload, ofKSeF(ksef.KindRateLimited), gateKSeFRead, noRefusal},
		"KSeF does not answer":                    {callDownload, ofKSeF(ksef.KindNetwork), gateKSeFRead, noRefusal},
		"KSeF has not got it yet":                 {callUPO, ofKSeF(ksef.KindNotYet), gateKSeFStatus, noRefusal},
		"key refused":                             {callReadXML, ofTeamogy(teamogy.Unauthorized), gateTeamogy, ofAll},
		"right to create missing":                 {callCreatePurchase, ofTeamogy(teamogy.Forbidden), gateReceive, ofKey},
		"right to patch missing":                  {callPatch, ofTeamogy(teamogy.Forbidden), gateSend, ofKey},
		"right to see companies missing":          {callFindCompany, ofTeamogy(teamogy.Forbidden), gateSuppliers, ofKey},
		"right to read issued invoices missing":   {callReadXML, ofTeamogy(teamogy.Forbidden), gateIssued, ofKey},
		"unknown status, receiving":               {callCreatePurchase, refusedStatus(), gateReceive, ofAll},
		"unknown status, sending":                 {callPatch, refusedStatus(), gateSend, ofAll},
		"unknown owner":                           {callCreatePurchase, named("ownerId 99 does not exist"), gateReceive, ofAll},
		"unknown participant":                     {callCreatePurchase, named("participantIds: user 99 does not exist"), gateReceive, ofAll},
		"unknown process":                         {callCreatePurchase, named("Process X is not configured"), gateReceive, ofAll},
		"unknown company":                         {callCreatePurchase, named("companyId 9 does not exist"), gateReceive, ofOne},
		"a patch that names the owner":            {callPatch, named("the owner must not change it"), gateSend, ofOne},
		"a view that is missing":                  {callFindCompany, ofTeamogy(teamogy.NotFound), gateSuppliers, ofOne},
		"a document that was deleted, reading":    {callReadXML, ofTeamogy(teamogy.NotFound), gateIssued, noRefusal},
		"a document that was deleted, writing":    {callPatch, ofTeamogy(teamogy.NotFound), gateSend, noRefusal},
		"a document that has another KSeF number": {callPatch, ofTeamogy(teamogy.Conflict), gateSend, noRefusal},
		"a view that cannot be searched":          {callFindDocument, ofTeamogy(teamogy.NotSearchable), gateReceive, ofOne},
		"Teamogy's quota":                         {callFindDocument, ofTeamogy(teamogy.RateLimited), gateReceive, noRefusal},
		"our own quota":                           {callPatch, ofTeamogy(teamogy.QuotaLocal), gateSend, noRefusal},
		"Teamogy does not answer":                 {callPatch, ofTeamogy(teamogy.Server), gateSend, noRefusal},
		"no XML":                                  {callReadXML, ofTeamogy(teamogy.XMLMissing), gateIssued, noRefusal},
		"a call of no gate":                       {"Other", ofTeamogy(teamogy.Forbidden), "", noRefusal},
		"something else":                          {callPatch, errors.New("never seen"), gateSend, noRefusal},
	} {
		t.Run(name, func(t *testing.T) {
			scope, reaches := refusalOf(c.call, c.err)
			require.Equal(t, c.want, reaches)
			if c.want != noRefusal {
				require.Equal(t, c.scope, scope)
				require.Equal(t, flow.Configuration, flow.LookupError(classify(c.err).Type).Class)
			}
		})
	}
}

// A renamed activity or call must not slip past its gate.
func TestGateTables_nameWhatExists(t *testing.T) {
	activities := map[string]bool{}
	for _, of := range []any{&KSeF{}, &Session{}, &Teamogy{}, &Starts{}} {
		for i := range reflect.TypeOf(of).NumMethod() {
			activities[reflect.TypeOf(of).Method(i).Name] = true
		}
	}
	for name := range gatesBefore {
		require.True(t, activities[name], "there is no activity %s", name)
	}
	calls := map[string]bool{callDecision: true}
	for _, of := range []reflect.Type{reflect.TypeFor[KSeFClient](), reflect.TypeFor[TeamogyClient]()} {
		for i := range of.NumMethod() {
			calls[of.Method(i).Name] = true
		}
	}
	for name := range gateOfCall {
		require.True(t, calls[name], "there is no call %s", name)
	}
}

func TestGates_letNobodyThroughUntilTheProbe(t *testing.T) {
	b := newGateBed(t)
	b.refuse("one", callPatch, true, refusedStatus())
	require.Equal(t, 1, b.logs.count(alertLine))
	for i := range 100 {
		_, err := b.enter(fmt.Sprint("waits ", i), gateTeamogy, gateSend)
		require.Equal(t, flow.ErrTeamogyStatus, classify(err).Type)
		require.True(t, metGate(err))
		var failure *temporal.ApplicationError
		require.ErrorAs(t, asFailure(t.Context(), err, 50, 1), &failure)
		require.GreaterOrEqual(t, failure.NextRetryDelay(), time.Minute)
		require.LessOrEqual(t, failure.NextRetryDelay(), 2*time.Minute+time.Second)
		require.Contains(t, failure.Message(), `the gate "send" of the connection acme is closed since 2026-11-22T09:00:00Z`)
		require.Contains(t, failure.Message(), "IMPORTED")
		require.Contains(t, failure.Message(), "What to do: Create the status")
	}
	_, err := b.enter("receiving", gateTeamogy, gateReceive)
	require.NoError(t, err, "other steps of the connection go on")
	other := *b.settings
	other.Name = "beta"
	_, err = b.gates.enter(t.Context(), &other, "beta", gateSend)
	require.NoError(t, err, "other connections go on")
	require.Equal(t, 1, b.logs.count(alertLine))
}

func TestGates_probePausesDoubleToFiveMinutes(t *testing.T) {
	b := newGateBed(t)
	b.refuse("one", callPatch, true, refusedStatus())
	for i, pause := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
		b.pass(pause - time.Second)
		_, err := b.enter("too early", gateSend)
		require.Error(t, err, pause)
		b.pass(time.Second)
		tickets, err := b.enter(fmt.Sprint("probe ", i), gateSend)
		require.NoError(t, err, pause)
		require.Equal(t, []string{gateSend}, tickets)
		_, err = b.enter("another", gateSend)
		require.Error(t, err, "two probes at once")
	}
}

func TestGates_openByTheSuccessOfTheCallThatWasRefused(t *testing.T) {
	b := newGateBed(t)
	b.refuse("one", callReadXML, true, ofTeamogy(teamogy.Forbidden))
	b.pass(time.Minute)
	_, err := b.enter("two", gateIssued)
	require.NoError(t, err)
	b.succeed("two", callListReady)
	require.False(t, b.open(gateIssued), "listing is allowed, reading perhaps not")
	b.succeed("two", callReadXML)
	require.True(t, b.open(gateIssued))
	require.Equal(t, 1, b.logs.count(openLine))
	require.Equal(t, 1, b.logs.count("closedFor=1m0s"))
	gates, err := b.gates.archive.Gates(t.Context(), "acme")
	require.NoError(t, err)
	require.Empty(t, gates)
}

// What was on its way when the gate was closed or opened says nothing.
func TestGates_ignoreAnswersOfBefore(t *testing.T) {
	b := newGateBed(t)
	before := b.gates.now()
	b.pass(time.Second)
	b.refuse("one", callPatch, true, refusedStatus())
	b.gates.succeeded(t.Context(), b.settings, "two", callPatch, gateSend, before)
	require.False(t, b.open(gateSend))
	b.succeed("two", callPatch)
	require.True(t, b.open(gateSend))
	b.gates.refuse(t.Context(), b.settings, "three", callPatch, gateSend, before, true, refusedStatus())
	require.True(t, b.open(gateSend))
	require.Equal(t, 1, b.logs.count(alertLine))
}

// The archive was read before the gate was opened, and is believed after.
func TestGates_aGateThatWasJustOpenedIsNotClosedByWhatWasReadBefore(t *testing.T) {
	b := newGateBed(t)
	b.refuse("one", callCreatePurchase, true, refusedStatus())
	began := b.gates.now()
	there, err := b.gates.archive.Gates(t.Context(), "acme")
	require.NoError(t, err)
	require.Len(t, there, 1)
	b.gates.open(t.Context(), "acme", gateReceive)
	b.gates.compare(t.Context(), b.gates.of("acme"), b.settings, there, nil, began)
	require.True(t, b.open(gateReceive))
}

func TestGates_changedSettingsAreProbedAtOnce(t *testing.T) {
	b := newGateBed(t)
	b.refuse("one", callPatch, true, refusedStatus())
	_, err := b.enter("one", gateSend)
	require.Error(t, err)
	b.settings = changedConnection(t)
	tickets, err := b.enter("one", gateSend)
	require.NoError(t, err)
	require.Equal(t, []string{gateSend}, tickets)
	_, err = b.enter("two", gateSend)
	require.Error(t, err, "once for each change")
}

func TestGates_hundredRefusalsAtOnceAreOneAlertAndOneProbe(t *testing.T) {
	b := newGateBed(t)
	var wait sync.WaitGroup
	for i := range 100 {
		wait.Go(func() { b.refuse(fmt.Sprint(i), callCreatePurchase, true, refusedStatus()) })
	}
	wait.Wait()
	require.Equal(t, 1, b.logs.count(alertLine))
	b.pass(time.Minute)
	var probes atomic.Int64
	for i := range 100 {
		wait.Go(func() {
			if _, err := b.enter(fmt.Sprint("new ", i), gateTeamogy, gateReceive); err == nil {
				probes.Add(1)
			}
		})
	}
	wait.Wait()
	require.EqualValues(t, 1, probes.Load())
}

func TestGates_twoWorkersRaiseOneAlertAndBothWait(t *testing.T) {
	b := newGateBed(t)
	c := b.another()
	_, err := c.enter("earlier", gateSend)
	require.NoError(t, err)
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() { b.refuse(fmt.Sprint(i), callPatch, true, refusedStatus()) })
		wait.Go(func() { c.refuse(fmt.Sprint(i), callPatch, true, refusedStatus()) })
	}
	wait.Wait()
	require.Equal(t, 1, b.logs.count(alertLine))

	late := b.another()
	_, err = late.enter("new", gateSend)
	require.True(t, metGate(err), "a worker that starts meanwhile asks nothing")

	b.pass(time.Minute)
	_, err = b.enter("probe", gateSend)
	require.NoError(t, err)
	b.succeed("probe", callPatch)
	require.Equal(t, 1, b.logs.count(openLine))
	for _, other := range []*gateBed{c, late} {
		require.False(t, other.open(gateSend))
		b.pass(gateLook)
		_, err = other.enter("probe again", gateSend)
		require.NoError(t, err)
		require.True(t, other.open(gateSend), "it has not learnt that the gate is open")
	}
	require.Equal(t, 1, b.logs.count(openLine))

	// And that it is closed again.
	b.pass(time.Second)
	c.refuse("more", callPatch, true, refusedStatus())
	require.Equal(t, 2, b.logs.count(alertLine))
	b.pass(gateLook)
	_, err = b.enter("new", gateSend)
	require.True(t, metGate(err))
}

// One invoice that is wrong by itself closes nothing, also when it is refused
// a hundred times; three different ones in a row do.
func TestGates_closeWhenSeveralInvoicesAreRefusedInARow(t *testing.T) {
	b := newGateBed(t)
	wrong := &teamogy.Error{Kind: teamogy.Invalid, Status: 400, Body: "companyId 9 does not exist"}
	for range 100 {
		b.refuse("bad", callCreatePurchase, false, wrong)
	}
	b.refuse("second", callCreatePurchase, false, wrong)
	b.succeed("good", callCreatePurchase)
	b.refuse("bad", callCreatePurchase, false, wrong)
	b.refuse("second", callCreatePurchase, false, wrong)
	require.True(t, b.open(gateReceive))
	b.refuse("third", callCreatePurchase, false, wrong)
	require.False(t, b.open(gateReceive))
	require.Equal(t, 1, b.logs.count(alertLine))
}

func TestGates_oneBadInvoiceCannotHoldAGateClosed(t *testing.T) {
	b := newGateBed(t)
	b.refuse("bad", callPatch, true, refusedStatus())
	b.pass(time.Minute)
	_, err := b.enter("bad", gateSend)
	require.Error(t, err, "it was refused already: another one is let through")
	_, err = b.enter("good", gateSend)
	require.NoError(t, err)
	b.succeed("good", callPatch)
	require.True(t, b.open(gateSend))
	for range 100 {
		b.refuse("bad", callPatch, true, refusedStatus())
		require.True(t, b.open(gateSend), "the bad one has closed it again")
	}
	require.Equal(t, 1, b.logs.count(alertLine))

	// If it is the only one there is, it is the probe, a little later.
	alone := newGateBed(t)
	alone.refuse("alone", callPatch, true, refusedStatus())
	alone.pass(time.Minute + gateSpread)
	_, err = alone.enter("alone", gateSend)
	require.NoError(t, err)
	alone.succeed("alone", callPatch)
	require.True(t, alone.open(gateSend))
	alone.refuse("alone", callPatch, true, refusedStatus())
	require.False(t, alone.open(gateSend), "it has succeeded, so it is no suspect")
}

// Without the archive a worker is for itself, and catches up later.
func TestGates_closeAlsoWhenTheArchiveCannotBeWritten(t *testing.T) {
	b := newGateBed(t)
	_, err := b.enter("before", gateSend)
	require.NoError(t, err)
	store := &failingStore{Store: memoryStore(t), broken: true}
	b.gates.archive = archive.New(store)
	b.refuse("one", callPatch, true, refusedStatus())
	require.False(t, b.open(gateSend))
	require.Equal(t, 1, b.logs.count(alertLine))
	b.pass(gateLook)
	_, err = b.enter("two", gateSend)
	require.True(t, metGate(err))
	store.broken = false
	b.pass(gateLook)
	_, _ = b.enter("two", gateSend)
	gates, err := b.gates.archive.Gates(t.Context(), "acme")
	require.NoError(t, err)
	require.Len(t, gates, 1)
	require.Equal(t, 1, b.logs.count(alertLine), "it is told once")
}

type failingStore struct {
	archive.Store
	broken bool
}

func (f *failingStore) Create(ctx context.Context, key string, data []byte) error {
	if f.broken {
		return errors.New("the disk is full")
	}
	return f.Store.Create(ctx, key, data)
}

// memoryStore is a file store in a folder of the test's own.
func memoryStore(t *testing.T) archive.Store {
	t.Helper()
	return mapStore{}
}

// mapStore is the smallest store there is; one test uses it at a time.
type mapStore map[string][]byte

func (m mapStore) Create(_ context.Context, key string, data []byte) error {
	if _, there := m[key]; there {
		return archive.ErrExists
	}
	m[key] = bytes.Clone(data)
	return nil
}

func (m mapStore) Read(_ context.Context, key string) ([]byte, error) {
	if data, there := m[key]; there {
		return data, nil
	}
	return nil, archive.ErrNotFound
}

func (m mapStore) Exists(_ context.Context, key string) (bool, error) {
	_, there := m[key]
	return there, nil
}

func (m mapStore) List(_ context.Context, folder string) (keys []string, _ error) {
	for key := range m {
		if strings.HasPrefix(key, folder) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func (m mapStore) Delete(_ context.Context, key string) error {
	delete(m, key)
	return nil
}

// answering lets a fake's call look as if an answer had come from outside.
func answering(ctx context.Context) {
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.GotFirstResponseByte != nil {
		trace.GotFirstResponseByte()
	}
}

// gatedTenant is a Teamogy whose key can be taken away.
type gatedTenant struct {
	TeamogyClient
	pings, finds atomic.Int64
	ping, find   atomic.Pointer[teamogy.Error]
	cached       atomic.Bool
}

func (f *gatedTenant) Ping(ctx context.Context) error {
	f.pings.Add(1)
	answering(ctx)
	if e := f.ping.Load(); e != nil {
		return e
	}
	return nil
}

func (f *gatedTenant) FindCompanyByNIP(ctx context.Context, _ string) (teamogy.CompanyMatch, error) {
	f.finds.Add(1)
	if !f.cached.Load() {
		answering(ctx)
	}
	if e := f.find.Load(); e != nil {
		return teamogy.CompanyMatch{}, e
	}
	return teamogy.CompanyMatch{}, nil
}

func gatedBase(t *testing.T, b *gateBed, ofKSeF KSeFClient, ofTeamogy TeamogyClient) *gatedConnections {
	t.Helper()
	return &gatedConnections{&fakeConnections{settings: b.settings, ksef: ofKSeF, teamogy: ofTeamogy}, b.gates}
}

// A tenant may answer 403 to a key that it does not know: one row of a view
// tells, and one gate is closed instead of one for each kind of call.
func TestGatedTeamogy_tellsARefusedKeyFromAMissingRight(t *testing.T) {
	forbidden := ofTeamogy(teamogy.Forbidden)
	for scope, ping := range map[string]*teamogy.Error{gateTeamogy: forbidden, gateSuppliers: nil} {
		b, tenant := newGateBed(t), &gatedTenant{}
		tenant.find.Store(forbidden)
		tenant.ping.Store(ping)
		connections := gatedBase(t, b, nil, tenant)
		client, _, err := connections.Teamogy(t.Context(), "acme")
		require.NoError(t, err)
		for range 5 {
			_, err = client.FindCompanyByNIP(t.Context(), "5265877635")
			require.Error(t, err)
		}
		require.False(t, b.open(scope))
		require.EqualValues(t, 1, tenant.finds.Load(), "a closed gate let a call through")
		gates, err := b.gates.archive.Gates(t.Context(), "acme")
		require.NoError(t, err)
		require.Len(t, gates, 1)
		require.Equal(t, scope, gates[0].Scope)
	}
}

func TestGatedTeamogy_probesTheKeyByOneRowAndOnce(t *testing.T) {
	b, tenant := newGateBed(t), &gatedTenant{}
	unauthorized := ofTeamogy(teamogy.Unauthorized)
	tenant.find.Store(unauthorized)
	tenant.ping.Store(unauthorized)
	connections := gatedBase(t, b, nil, tenant)
	client, _, err := connections.Teamogy(t.Context(), "acme")
	require.NoError(t, err)
	_, err = client.FindCompanyByNIP(t.Context(), "5265877635")
	require.Error(t, err)
	all := func() (passed int64) {
		var wait sync.WaitGroup
		var n atomic.Int64
		for range 100 {
			wait.Go(func() {
				if _, _, err := connections.Teamogy(t.Context(), "acme"); err == nil {
					n.Add(1)
				} else if classify(err).Type != flow.ErrTeamogyToken {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		return n.Load()
	}
	require.Zero(t, all())
	require.Zero(t, tenant.pings.Load())
	b.pass(time.Minute + gateSpread)
	require.Zero(t, all())
	require.EqualValues(t, 1, tenant.pings.Load())
	tenant.ping.Store(nil)
	tenant.find.Store(nil)
	b.pass(2*time.Minute + gateSpread)
	require.Positive(t, all())
	require.EqualValues(t, 2, tenant.pings.Load())
	require.True(t, b.open(gateTeamogy))
	require.Equal(t, 1, b.logs.count(alertLine))
	require.Equal(t, 1, b.logs.count(openLine))
}

func TestGatedTeamogy_aHitOfTheCacheOpensNothing(t *testing.T) {
	b, tenant := newGateBed(t), &gatedTenant{}
	b.refuse("test", callFindCompany, true, ofTeamogy(teamogy.Forbidden))
	client := &gatedTeamogy{tenant, &visit{
		connections: gatedBase(t, b, nil, tenant), settings: b.settings, who: "test", ofClient: gateTeamogy, tickets: map[string]bool{gateSuppliers: true},
	}}
	tenant.cached.Store(true)
	_, err := client.FindCompanyByNIP(t.Context(), "5265877635")
	require.NoError(t, err)
	require.False(t, b.open(gateSuppliers))
	tenant.cached.Store(false)
	_, err = client.FindCompanyByNIP(t.Context(), "5265877635")
	require.NoError(t, err)
	require.True(t, b.open(gateSuppliers))
}

// A write that waits for the quota when its gate is closed does not leave.
func TestGatedTeamogy_aWriteThatWaitsDoesNotLeaveThroughAClosedGate(t *testing.T) {
	b := newGateBed(t)
	tenant := &waitingTenant{close: func() { b.refuse("another", callPatch, true, refusedStatus()) }}
	client, _, err := gatedBase(t, b, nil, tenant).Teamogy(t.Context(), "acme")
	require.NoError(t, err)
	require.NoError(t, client.PatchSalesInvoice(t.Context(), 16, teamogy.SalesPatch{}))
	tenant.waits = true
	require.True(t, metGate(client.PatchSalesInvoice(t.Context(), 17, teamogy.SalesPatch{})))
	require.Equal(t, []int64{16}, tenant.patched)
}

type waitingTenant struct {
	TeamogyClient
	waits   bool
	close   func()
	patched []int64
}

func (f *waitingTenant) PatchSalesInvoice(ctx context.Context, id int64, _ teamogy.SalesPatch) error {
	if f.waits {
		f.close()
	}
	if err := mayAct(ctx); err != nil {
		return fmt.Errorf("it was not sent: %w", err)
	}
	f.patched = append(f.patched, id)
	return nil
}

// gatedLogin is a KSeF whose login and permissions can be taken away.
type gatedLogin struct {
	KSeFClient
	logins, queries atomic.Int64
	login           error
	permissions     []string
	query           error
}

func (f *gatedLogin) Login(context.Context) (ksef.LoginState, error) {
	f.logins.Add(1)
	return ksef.LoginState{}, f.login
}

func (f *gatedLogin) Permissions(context.Context) ([]string, error) { return f.permissions, nil }

func (f *gatedLogin) QueryMetadata(ctx context.Context, _ ksef.MetadataQuery) (ksef.MetadataPage, error) {
	f.queries.Add(1)
	answering(ctx)
	return ksef.MetadataPage{}, f.query
}

// A probe of a permission costs no invoice quota while it is missing.
func TestGatedKSeF_probesByLoginAndPermissions(t *testing.T) {
	b := newGateBed(t)
	login := &gatedLogin{permissions: []string{"InvoiceWrite"}, query: &ksef.Error{Kind: ksef.KindForbidden, ReasonCode: "missing-permissions"}}
	connections := gatedBase(t, b, login, nil)
	client, _, err := connections.KSeF(t.Context(), "acme")
	require.NoError(t, err)
	_, err = client.QueryMetadata(t.Context(), ksef.MetadataQuery{})
	require.Error(t, err)
	require.False(t, b.open(gateKSeFRead))
	b.pass(time.Minute + gateSpread)
	v := &visit{connections: connections, settings: b.settings}
	require.True(t, metGate(connections.probeKSeF(t.Context(), v, login, gateKSeFRead)))
	login.permissions = []string{"InvoiceRead", "InvoiceWrite"}
	require.NoError(t, connections.probeKSeF(t.Context(), v, login, gateKSeFRead))
	require.EqualValues(t, 1, login.queries.Load())
	require.False(t, b.open(gateKSeFRead), "only the call itself proves it")

	login.login = ofKSeF(ksef.KindLoginRefused, 460)
	client, _, err = connections.KSeF(t.Context(), "acme")
	require.NoError(t, err)
	_, err = client.Login(t.Context())
	require.Error(t, err)
	require.False(t, b.open(gateKSeF))
	b.pass(time.Minute + gateSpread)
	_, _, err = connections.KSeF(t.Context(), "acme")
	require.True(t, metGate(err))
	require.EqualValues(t, 4, login.logins.Load())
	login.login = nil
	b.pass(2*time.Minute + gateSpread)
	_, _, err = connections.KSeF(t.Context(), "acme")
	require.NoError(t, err)
	require.True(t, b.open(gateKSeF))
}

// A gate that is closed by a call of an activity that does not enter it (a session's close, the query for a duplicate's
// original) must be opened by that call: nobody else might ever make it.
func TestGatedKSeF_aCallProbesItsGateAlsoWhereItsActivityDoesNotEnterIt(t *testing.T) {
	b := newGateBed(t)
	login := &gatedLogin{permissions: []string{"InvoiceWrite"}, query: &ksef.Error{Kind: ksef.KindForbidden, ReasonCode: "missing-permissions"}}
	query := func() error { // each time as a new attempt of an activity that is in no table
		client, _, err := gatedBase(t, b, login, nil).KSeF(t.Context(), "acme")
		require.NoError(t, err, "its activity is not held up")
		_, err = client.QueryMetadata(t.Context(), ksef.MetadataQuery{})
		return err
	}
	require.False(t, metGate(query()))
	require.False(t, b.open(gateKSeFRead))
	require.True(t, metGate(query()))
	require.EqualValues(t, 1, login.queries.Load())

	b.pass(2 * time.Minute)
	require.True(t, metGate(query()))
	require.EqualValues(t, 1, login.queries.Load(), "a query was spent although the permission is missing still")

	login.permissions, login.query = []string{"InvoiceRead", "InvoiceWrite"}, nil
	b.pass(longestProbe + gateSpread)
	require.NoError(t, query())
	require.True(t, b.open(gateKSeFRead))
}

// Only what really went wrong counts before invoices are left behind.
func TestTriesOf_leavesOutAttemptsThatOnlyMetAGate(t *testing.T) {
	require.Equal(t, 1, triesOf(t.Context()))
	env := activityEnvironment(t)
	env.SetHeartbeatDetails(metDetails{MetGate: 7})
	tries := func(ctx context.Context) ([]int, error) {
		return []int{attemptOf(ctx), metBefore(ctx).MetGate, triesOf(ctx)}, nil
	}
	env.RegisterActivity(tries)
	value, err := env.ExecuteActivity(tries)
	require.NoError(t, err)
	var got []int
	require.NoError(t, value.Get(&got))
	require.Equal(t, []int{1, 7, 1}, got)
}

// `temporal activity reset` counts attempts anew and keeps the details.
func TestMetBefore_forgetsWhatWasMetBeforeTheAttemptsWereCountedAnew(t *testing.T) {
	env := activityEnvironment(t)
	env.SetHeartbeatDetails(metDetails{MetGate: 300, Attempt: 310})
	met := func(ctx context.Context) (int, error) { return metBefore(ctx).MetGate, nil }
	env.RegisterActivity(met)
	value, err := env.ExecuteActivity(met)
	require.NoError(t, err)
	got := -1
	require.NoError(t, value.Get(&got))
	require.Zero(t, got)
}

// The page for the engineer names what the log says, and every scope.
func TestOperationsPage_showsTheLinesAndScopesOfGates(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "operations.md"))
	require.NoError(t, err)
	b := newGateBed(t)
	b.refuse("one", callReadXML, true, ofTeamogy(teamogy.Unauthorized))
	b.gates.open(t.Context(), "acme", gateIssued)
	for line := range strings.Lines(b.logs.String()) {
		_, message, _ := strings.Cut(line, `msg="`)
		message, _, _ = strings.Cut(message, `"`)
		require.Contains(t, string(page), message)
	}
	for _, scope := range gateOfCall {
		require.Contains(t, string(page), "`"+scope+"`")
	}
	for _, scope := range []string{gateKSeF, gateTeamogy} {
		require.Contains(t, string(page), "| `"+scope+"` |")
	}
}
