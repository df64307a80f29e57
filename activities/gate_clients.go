package activities

import (
	"context"
	"errors"
	"net/http/httptrace"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"

	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/teamogy"
)

// gatedConnections gives clients to those who may pass the gates, and watches
// their calls: the one place where gates are checked, closed and opened.
type gatedConnections struct {
	Connections
	gates *Gates
}

// loginTrier logs in anew and reads the login's permissions, which costs no
// quota of invoices; *Clients has it.
type loginTrier interface {
	TryLogin(ctx context.Context, name string) (permissions []string, err error)
}

// KSeF implements Connections.
func (g *gatedConnections) KSeF(ctx context.Context, name string) (KSeFClient, *connection.Connection, error) {
	client, settings, err := g.Connections.KSeF(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	v, tickets, err := g.enter(ctx, settings, gateKSeF)
	if err != nil {
		return nil, nil, err
	}
	v.probe = func(ctx context.Context, scope string) error { return g.probeKSeF(ctx, v, client, scope) }
	for _, scope := range tickets {
		if err := v.probe(ctx, scope); err != nil {
			return nil, nil, err
		}
	}
	return &gatedKSeF{client, v}, settings, nil
}

// probeKSeF prepares the caller's own probe: without a login, or without the
// permission that the gate is about, its call would be wasted.
func (g *gatedConnections) probeKSeF(ctx context.Context, v *visit, client KSeFClient, scope string) error {
	if scope != gateKSeF && permissionBehind[scope] == "" {
		return nil
	}
	g.gates.probeBegins(v.settings.Name, scope)
	defer g.gates.probeEnds(v.settings.Name, scope)
	permissions, err := g.tryLogin(ctx, v.settings.Name, client)
	switch needed := permissionBehind[scope]; {
	case err != nil:
	case scope == gateKSeF:
		g.gates.open(ctx, v.settings.Name, scope)
		return nil
	case len(permissions) == 0 || slices.Contains(permissions, needed): // an owner's list is empty
		return nil
	}
	return g.gates.stillOpen(v.settings.Name, v.settings.TimeScale, scope)
}

func (g *gatedConnections) tryLogin(ctx context.Context, name string, client KSeFClient) ([]string, error) {
	if trier, is := g.Connections.(loginTrier); is {
		return trier.TryLogin(ctx, name)
	}
	if _, err := client.Login(ctx); err != nil {
		return nil, err
	}
	return client.Permissions(ctx)
}

// Teamogy implements Connections.
func (g *gatedConnections) Teamogy(ctx context.Context, name string) (TeamogyClient, *connection.Connection, error) {
	client, settings, err := g.Connections.Teamogy(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	v, tickets, err := g.enter(ctx, settings, gateTeamogy)
	if err != nil {
		return nil, nil, err
	}
	if slices.Contains(tickets, gateTeamogy) {
		if err := g.probeTeamogy(ctx, v, client); err != nil {
			return nil, nil, err
		}
	}
	return &gatedTeamogy{client, v}, settings, nil
}

// probeTeamogy asks for one row of a view. Any answer but a refusal of the key
// lets the caller's own call find out the rest: a key that may only receive
// cannot see sales invoices.
func (g *gatedConnections) probeTeamogy(ctx context.Context, v *visit, client TeamogyClient) error {
	name := v.settings.Name
	g.gates.probeBegins(name, gateTeamogy)
	defer g.gates.probeEnds(name, gateTeamogy)
	err := client.Ping(teamogy.WithPriority(ctx, teamogy.High))
	if err == nil {
		g.gates.open(ctx, name, gateTeamogy)
		return nil
	}
	if failure, is := teamogy.AsError(err); is && failure.Kind == teamogy.Forbidden {
		return nil
	}
	return g.gates.stillOpen(name, v.settings.TimeScale, gateTeamogy)
}

// enter passes the gates of the client and of the activity.
func (g *gatedConnections) enter(ctx context.Context, settings *connection.Connection, ofClient string) (*visit, []string, error) {
	who, what := callerOf(ctx)
	tickets, err := g.gates.enter(ctx, settings, who, append([]string{ofClient}, gatesBefore[what]...)...)
	if err != nil {
		return nil, nil, err
	}
	v := &visit{connections: g, settings: settings, who: who, ofClient: ofClient, tickets: map[string]bool{}}
	v.setTickets(tickets)
	return v, tickets, nil
}

// beyondGates are the connections themselves, for what asks nobody anything.
func (b *base) beyondGates() Connections {
	if g, is := b.Connections.(*gatedConnections); is {
		return g.Connections
	}
	return b.Connections
}

// enterGates is for activities that use no client.
func (b *base) enterGates(ctx context.Context, name string) error {
	if b.Gates == nil {
		return nil
	}
	settings, err := b.Connections.Settings(ctx, name)
	if err != nil {
		return err
	}
	who, what := callerOf(ctx)
	_, err = b.Gates.enter(ctx, settings, who, gatesBefore[what]...)
	return err
}

// decided notes what KSeF has decided about an invoice that it had taken: 410,
// that it is not ours to issue, is the set-up's fault if it happens to several.
func (b *base) decided(ctx context.Context, name, workflowID string, refusal error) {
	if b.Gates == nil {
		return
	}
	settings, err := b.Connections.Settings(ctx, name)
	switch {
	case err != nil: // nobody may send for it any more
	case refusal == nil:
		b.Gates.succeeded(ctx, settings, workflowID, callDecision, gateIssuing, b.Now())
	default:
		b.Gates.refuse(ctx, settings, workflowID, callDecision, gateIssuing, b.Now(), false, refusal)
	}
}

// callerOf is the workflow on whose behalf an activity runs, which is one
// invoice or one session, and the activity's name.
func callerOf(ctx context.Context) (who, what string) {
	if !activity.IsActivity(ctx) {
		return "test", ""
	}
	info := activity.GetInfo(ctx)
	return info.WorkflowExecution.ID, info.ActivityType.Name
}

// visit is one activity behind the gates.
type visit struct {
	connections *gatedConnections
	settings    *connection.Connection
	who         string
	ofClient    string
	probe       func(ctx context.Context, scope string) error // prepares a probe; nil: nothing to prepare

	mu      sync.Mutex
	tickets map[string]bool // closed gates that it may pass, until it is refused
}

// allowed is asked before each call: a gate may have been closed since the
// activity began, and the connection's file may have been taken away or
// changed.
func (v *visit) allowed(ctx context.Context, call string) error {
	now, err := v.connections.Settings(ctx, v.settings.Name)
	if err != nil {
		return err
	}
	if now.Fingerprint() != v.settings.Fingerprint() {
		// With the check of the binding; the client that is in use stays good for
		// the rest of this activity.
		if v.ofClient == gateKSeF {
			_, _, err = v.connections.Connections.KSeF(ctx, v.settings.Name)
		} else {
			_, _, err = v.connections.Connections.Teamogy(ctx, v.settings.Name)
		}
		if err != nil {
			return err
		}
		return v.open(call)
	}
	if err := v.askIn(ctx, gateOfCall[call]); err != nil {
		return err
	}
	return v.open(call)
}

// askIn lets a call probe its gate although the activity has not entered that: a gate is opened by the call that closed
// it, and some calls are made by activities only that are not to wait at their gate as a whole.
func (v *visit) askIn(ctx context.Context, scope string) error {
	if scope == "" || v.hasTicket(scope) {
		return nil
	}
	tickets, err := v.connections.gates.enter(ctx, v.settings, v.who, scope)
	if err == nil && len(tickets) > 0 && v.probe != nil {
		err = v.probe(ctx, scope)
	}
	if err == nil {
		v.setTickets(tickets)
	}
	return err
}

func (v *visit) hasTicket(scope string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.tickets[scope]
}

func (v *visit) setTickets(scopes []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, scope := range scopes {
		v.tickets[scope] = true
	}
}

// open tells whether the gates before a call are open still, or closed with a
// ticket for this activity.
func (v *visit) open(call string) error {
	for _, scope := range []string{v.ofClient, gateOfCall[call]} {
		if v.hasTicket(scope) {
			continue
		}
		if err := v.connections.gates.stillOpen(v.settings.Name, v.settings.TimeScale, scope); err != nil {
			return err
		}
	}
	return nil
}

// ended judges a call.
func (v *visit) ended(ctx context.Context, call string, began time.Time, answered bool, ping func(context.Context) error, err error) {
	gates := v.connections.gates
	if proves(err) {
		if answered { // by the outside, and not by a cache
			gates.succeeded(ctx, v.settings, v.who, call, gateOfCall[call], began)
			if v.ofClient == gateTeamogy {
				gates.succeeded(ctx, v.settings, v.who, call, gateTeamogy, began)
			}
		}
		return
	}
	scope, r := refusalOf(call, err)
	if r == noRefusal {
		return
	}
	if r == ofKey && ping != nil && gates.stillOpen(v.settings.Name, 1, scope) == nil && keyRefused(ctx, ping) {
		scope = gateTeamogy
	}
	v.mu.Lock()
	delete(v.tickets, scope)
	v.mu.Unlock()
	gates.refuse(ctx, v.settings, v.who, call, scope, began, r != ofOne, err)
}

// keyRefused tells a key that may do nothing from one that lacks a right:
// Teamogy may answer 403 to both.
func keyRefused(ctx context.Context, ping func(context.Context) error) bool {
	failure, is := teamogy.AsError(ping(ctx))
	return is && (failure.Kind == teamogy.Unauthorized || failure.Kind == teamogy.Forbidden)
}

// gateKey is where a call's context holds the question whether its gates are
// open still: see mayAct.
type gateKey struct{}

// through makes a call of a client behind the gates.
func through[T any](ctx context.Context, v *visit, call string, ping func(context.Context) error, do func(context.Context) (T, error)) (T, error) {
	if err := v.allowed(ctx, call); err != nil {
		var none T
		return none, &notSentError{err}
	}
	var answered atomic.Bool
	began := v.connections.gates.now()
	ctx = context.WithValue(ctx, gateKey{}, func() error { return v.open(call) })
	result, err := do(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: func() { answered.Store(true) }}))
	v.ended(ctx, call, began, answered.Load(), ping, err)
	return result, err
}

// without is through for calls without a result.
func (v *visit) without(ctx context.Context, call string, ping func(context.Context) error, do func(context.Context) error) error {
	_, err := through(ctx, v, call, ping, func(ctx context.Context) (struct{}, error) { return struct{}{}, do(ctx) })
	return err
}

// notSentError is why a call was not even made: the outside knows nothing of it.
type notSentError struct{ error }

func (e *notSentError) Unwrap() error { return e.error }

// metGate tells whether an error is that of a closed gate.
func metGate(err error) bool {
	var p *problem
	return errors.As(err, &p) && p.gate
}

// gatedKSeF is a KSeF client behind the gates.
type gatedKSeF struct {
	KSeFClient
	visit *visit
}

func (k *gatedKSeF) Login(ctx context.Context) (ksef.LoginState, error) {
	return through(ctx, k.visit, "Login", nil, k.KSeFClient.Login)
}

func (k *gatedKSeF) Permissions(ctx context.Context) ([]string, error) {
	return through(ctx, k.visit, "Permissions", nil, k.KSeFClient.Permissions)
}

func (k *gatedKSeF) RateLimits(ctx context.Context) (ksef.RateLimits, error) {
	return through(ctx, k.visit, "RateLimits", nil, k.KSeFClient.RateLimits)
}

func (k *gatedKSeF) QueryMetadata(ctx context.Context, q ksef.MetadataQuery) (ksef.MetadataPage, error) {
	return through(ctx, k.visit, callQueryMetadata, nil, func(ctx context.Context) (ksef.MetadataPage, error) { return k.KSeFClient.QueryMetadata(ctx, q) })
}

func (k *gatedKSeF) DownloadInvoice(ctx context.Context, number, wantHash string) ([]byte, error) {
	return through(ctx, k.visit, callDownload, nil, func(ctx context.Context) ([]byte, error) {
		return k.KSeFClient.DownloadInvoice(ctx, number, wantHash)
	})
}

func (k *gatedKSeF) OrderExport(ctx context.Context, key ksef.SymmetricKey, q ksef.ExportQuery) (string, error) {
	return through(ctx, k.visit, callOrderExport, nil, func(ctx context.Context) (string, error) {
		return k.KSeFClient.OrderExport(ctx, key, q)
	})
}

func (k *gatedKSeF) ExportStatus(ctx context.Context, reference string) (ksef.ExportStatus, error) {
	return through(ctx, k.visit, callExportStatus, nil, func(ctx context.Context) (ksef.ExportStatus, error) {
		return k.KSeFClient.ExportStatus(ctx, reference)
	})
}

func (k *gatedKSeF) OpenOnlineSession(ctx context.Context, form ksef.FormCode, key ksef.SymmetricKey) (ksef.OpenedSession, error) {
	return through(ctx, k.visit, callOpenSession, nil, func(ctx context.Context) (ksef.OpenedSession, error) {
		return k.KSeFClient.OpenOnlineSession(ctx, form, key)
	})
}

func (k *gatedKSeF) SendInvoice(ctx context.Context, session string, key ksef.SymmetricKey, invoice ksef.InvoiceToSend) (string, error) {
	return through(ctx, k.visit, callSendInvoice, nil, func(ctx context.Context) (string, error) {
		return k.KSeFClient.SendInvoice(ctx, session, key, invoice)
	})
}

func (k *gatedKSeF) CloseOnlineSession(ctx context.Context, session string) error {
	return k.visit.without(ctx, callCloseSession, nil, func(ctx context.Context) error { return k.KSeFClient.CloseOnlineSession(ctx, session) })
}

func (k *gatedKSeF) OpenBatchSession(ctx context.Context, form ksef.FormCode, key ksef.SymmetricKey, file ksef.BatchFile, offline bool) (ksef.OpenedBatch, error) {
	return through(ctx, k.visit, callOpenBatch, nil, func(ctx context.Context) (ksef.OpenedBatch, error) {
		return k.KSeFClient.OpenBatchSession(ctx, form, key, file, offline)
	})
}

func (k *gatedKSeF) CloseBatchSession(ctx context.Context, session string) error {
	return k.visit.without(ctx, callCloseBatch, nil, func(ctx context.Context) error { return k.KSeFClient.CloseBatchSession(ctx, session) })
}

func (k *gatedKSeF) SessionStatus(ctx context.Context, session string) (ksef.SessionStatus, error) {
	return through(ctx, k.visit, callSessionStatus, nil, func(ctx context.Context) (ksef.SessionStatus, error) {
		return k.KSeFClient.SessionStatus(ctx, session)
	})
}

func (k *gatedKSeF) SessionInvoices(ctx context.Context, session string) ([]ksef.InvoiceStatus, error) {
	return through(ctx, k.visit, callSessionList, nil, func(ctx context.Context) ([]ksef.InvoiceStatus, error) {
		return k.KSeFClient.SessionInvoices(ctx, session)
	})
}

func (k *gatedKSeF) InvoiceStatus(ctx context.Context, session, invoice string) (ksef.InvoiceStatus, error) {
	return through(ctx, k.visit, callInvoiceStatus, nil, func(ctx context.Context) (ksef.InvoiceStatus, error) {
		return k.KSeFClient.InvoiceStatus(ctx, session, invoice)
	})
}

func (k *gatedKSeF) InvoiceUPO(ctx context.Context, session, invoice string) ([]byte, error) {
	return through(ctx, k.visit, callUPO, nil, func(ctx context.Context) ([]byte, error) { return k.KSeFClient.InvoiceUPO(ctx, session, invoice) })
}

func (k *gatedKSeF) InvoiceUPOByNumber(ctx context.Context, session, ksefNumber string) ([]byte, error) {
	return through(ctx, k.visit, callUPOByNumber, nil, func(ctx context.Context) ([]byte, error) {
		return k.KSeFClient.InvoiceUPOByNumber(ctx, session, ksefNumber)
	})
}

// gatedTeamogy is a Teamogy client behind the gates.
type gatedTeamogy struct {
	TeamogyClient
	visit *visit
}

// ping is made with high priority: everything waits for its answer.
func (t *gatedTeamogy) ping(ctx context.Context) error {
	return t.Ping(teamogy.WithPriority(ctx, teamogy.High))
}

func (t *gatedTeamogy) FindCompanyByNIP(ctx context.Context, nip string) (teamogy.CompanyMatch, error) {
	return through(ctx, t.visit, callFindCompany, t.ping, func(ctx context.Context) (teamogy.CompanyMatch, error) {
		return t.TeamogyClient.FindCompanyByNIP(ctx, nip)
	})
}

func (t *gatedTeamogy) FindDocumentByKSeFNumber(ctx context.Context, ksefNumber string) (teamogy.Document, bool, error) {
	found := false
	d, err := through(ctx, t.visit, callFindDocument, t.ping, func(ctx context.Context) (d teamogy.Document, err error) {
		d, found, err = t.TeamogyClient.FindDocumentByKSeFNumber(ctx, ksefNumber)
		return d, err
	})
	return d, found, err
}

func (t *gatedTeamogy) CreatePrepared(ctx context.Context, p teamogy.PreparedPurchase, begun time.Time) (teamogy.Document, error) {
	return through(ctx, t.visit, callCreatePurchase, t.ping, func(ctx context.Context) (teamogy.Document, error) {
		return t.TeamogyClient.CreatePrepared(ctx, p, begun)
	})
}

func (t *gatedTeamogy) AdoptPurchaseInvoice(ctx context.Context, documentID int64, ksefNumber string) (teamogy.Document, error) {
	return through(ctx, t.visit, callAdoptPurchase, t.ping, func(ctx context.Context) (teamogy.Document, error) {
		return t.TeamogyClient.AdoptPurchaseInvoice(ctx, documentID, ksefNumber)
	})
}

func (t *gatedTeamogy) ListReadySalesInvoices(ctx context.Context, types []string, status string, take func([]teamogy.ReadyInvoice) bool) (bool, error) {
	return through(ctx, t.visit, callListReady, t.ping, func(ctx context.Context) (bool, error) {
		return t.TeamogyClient.ListReadySalesInvoices(ctx, types, status, take)
	})
}

func (t *gatedTeamogy) ReadReadyXML(ctx context.Context, ids []int64, types []string, status string) (map[int64][]byte, error) {
	var found map[int64][]byte // also beside an error
	_, err := through(ctx, t.visit, callListReady, t.ping, func(ctx context.Context) (_ struct{}, err error) {
		found, err = t.TeamogyClient.ReadReadyXML(ctx, ids, types, status)
		return struct{}{}, err
	})
	return found, err
}

func (t *gatedTeamogy) ReadInvoiceXML(ctx context.Context, documentID int64) ([]byte, teamogy.DocumentInfo, error) {
	var info teamogy.DocumentInfo
	xml, err := through(ctx, t.visit, callReadXML, t.ping, func(ctx context.Context) (xml []byte, err error) {
		xml, info, err = t.TeamogyClient.ReadInvoiceXML(ctx, documentID)
		return xml, err
	})
	return xml, info, err
}

func (t *gatedTeamogy) PatchSalesInvoice(ctx context.Context, documentID int64, patch teamogy.SalesPatch) error {
	return t.visit.without(ctx, callPatch, t.ping, func(ctx context.Context) error { return t.TeamogyClient.PatchSalesInvoice(ctx, documentID, patch) })
}
