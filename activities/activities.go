// Package activities holds everything that the workflows do to the outside:
// one file per counterpart, structs with injected interfaces. Each activity
// may be repeated at any time; each outside POST is written for the case that
// it happened and its answer was lost.
package activities

import (
	"context"
	"io"
	"log/slog"
	"time"
	_ "time/tzdata" // so that Warsaw is known on every machine

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/sessionkey"
	"teamogy-ksef/internal/teamogy"
)

// KSeFClient is what the activities need of KSeF's API; *ksef.Client has it.
type KSeFClient interface {
	Login(context.Context) (ksef.LoginState, error)
	Permissions(context.Context) ([]string, error)
	RateLimits(context.Context) (ksef.RateLimits, error)
	QueryMetadata(context.Context, ksef.MetadataQuery) (ksef.MetadataPage, error)
	DownloadInvoice(ctx context.Context, number, wantHash string) ([]byte, error)
	OrderExport(context.Context, ksef.SymmetricKey, ksef.ExportQuery) (string, error)
	ExportStatus(ctx context.Context, reference string) (ksef.ExportStatus, error)
	DownloadPart(context.Context, ksef.ExportPart, ksef.SymmetricKey, io.Writer) error
	OpenOnlineSession(context.Context, ksef.FormCode, ksef.SymmetricKey) (ksef.OpenedSession, error)
	SendInvoice(ctx context.Context, session string, key ksef.SymmetricKey, invoice ksef.InvoiceToSend) (string, error)
	CloseOnlineSession(ctx context.Context, session string) error
	OpenBatchSession(ctx context.Context, form ksef.FormCode, key ksef.SymmetricKey, file ksef.BatchFile, offline bool) (ksef.OpenedBatch, error)
	UploadPart(ctx context.Context, to ksef.UploadRequest, encrypted io.Reader, size int64) error
	CloseBatchSession(ctx context.Context, session string) error
	SessionStatus(ctx context.Context, session string) (ksef.SessionStatus, error)
	SessionInvoices(ctx context.Context, session string) ([]ksef.InvoiceStatus, error)
	InvoiceStatus(ctx context.Context, session, invoice string) (ksef.InvoiceStatus, error)
	UPOByLink(context.Context, ksef.SecretURL) ([]byte, error)
	InvoiceUPO(ctx context.Context, session, invoice string) ([]byte, error)
	InvoiceUPOByNumber(ctx context.Context, session, ksefNumber string) ([]byte, error)
	ForgetPublicKeys()
	ServerTime() time.Time // by KSeF's clock, as its last answer told
}

// TeamogyClient is what the activities need of Teamogy's API;
// *teamogy.Client has it.
type TeamogyClient interface {
	FindCompanyByNIP(ctx context.Context, nip string) (teamogy.CompanyMatch, error)
	FindDocumentByKSeFNumber(ctx context.Context, ksefNumber string) (teamogy.Document, bool, error)
	PreparePurchaseInvoice(teamogy.NewPurchaseInvoice) (teamogy.PreparedPurchase, error)
	AwaitTurn(ctx context.Context) (held context.Context, give func(), err error)
	MayCreate() error
	CreatePrepared(ctx context.Context, p teamogy.PreparedPurchase, begun time.Time) (teamogy.Document, error)
	AdoptPurchaseInvoice(ctx context.Context, documentID int64, ksefNumber string) (teamogy.Document, error)
	RecallDoubt(ksefNumber string, since time.Time, above int64)
	HighestID() int64
	ListReadySalesInvoices(ctx context.Context, types []string, status string, take func([]teamogy.ReadyInvoice) (more bool)) (all bool, err error)
	ShowsXML() bool
	ReadReadyXML(ctx context.Context, ids []int64, types []string, status string) (map[int64][]byte, error)
	ReadInvoiceXML(ctx context.Context, documentID int64) ([]byte, teamogy.DocumentInfo, error)
	// Foresee tells whose KSeF numbers will soon be written.
	Foresee(documentIDs ...int64)
	PatchSalesInvoice(ctx context.Context, documentID int64, patch teamogy.SalesPatch) error
	Ping(context.Context) error
	// Queue is how long a call of the priority would wait for its turn within the quota now.
	Queue(teamogy.Priority) time.Duration
	// LooksWaiting is how many wait to look for a KSeF number in Teamogy.
	LooksWaiting() int
}

// Connections gives a connection's settings and clients by its name; *Clients
// has it.
type Connections interface {
	Settings(ctx context.Context, name string) (*connection.Connection, error)
	KSeF(ctx context.Context, name string) (KSeFClient, *connection.Connection, error)
	Teamogy(ctx context.Context, name string) (TeamogyClient, *connection.Connection, error)
}

// Dependencies are what all activities share.
type Dependencies struct {
	Connections Connections
	Archive     *archive.Archive
	Secret      sessionkey.Secret
	Now         func() time.Time // nil: time.Now
	Logger      *slog.Logger     // nil: slog.Default()
	Gates       *Gates           // nil: Register makes them

	vain *vainLooks                                 // nil: nothing is remembered
	wait func(context.Context, time.Duration) error // nil: real time passes

	unpacking chan struct{} // bounds how many packages are unpacked at once; nil: no bound
	partSize  int64         // bytes of a part of a package that is sent, before encryption; 0: ksef.MaxBatchPart
}

// base gives every activity struct the shared dependencies.
type base struct{ Dependencies }

// pause waits within an activity, or until it is to end.
func (b *base) pause(ctx context.Context, d time.Duration) error {
	if b.wait != nil {
		return b.wait(ctx, d)
	}
	return pause(ctx, d)
}

// KSeF holds the activities towards KSeF outside sessions.
type KSeF struct{ base }

// Session holds the steps of one KSeF session.
type Session struct{ base }

// Teamogy holds the activities towards Teamogy.
type Teamogy struct{ base }

// Starts holds the activities towards Temporal: starting invoice workflows
// and answering them.
type Starts struct {
	base
	compared  *comparisons
	handOvers *handOvers
	running   func(ctx context.Context, connection string) (int, error) // counts the SendInvoice workflows that run
	begin     func(context.Context, flow.InvoiceStart) (bool, error)    // starts one and tells whether it is new
}

// Registry is the part of a worker that Register needs.
type Registry interface {
	RegisterActivity(activity any)
}

// Register makes the activities and registers them.
func Register(r Registry, d Dependencies) {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Gates == nil {
		d.Gates = NewGates(d.Archive, d.Now, d.Logger)
	}
	d.Connections = &gatedConnections{d.Connections, d.Gates}
	d.vain = &vainLooks{}
	d.unpacking = make(chan struct{}, mostUnpacking)
	b := base{d}
	r.RegisterActivity(&KSeF{b})
	r.RegisterActivity(&Session{b})
	r.RegisterActivity(&Teamogy{b})
	r.RegisterActivity(&Starts{base: b, compared: newComparisons(d.Now), handOvers: &handOvers{signal: signalTransmit}, running: sendsRunning, begin: start})
}

// Warsaw is the time zone of KSeF's calendar days.
var Warsaw = mustLocation("Europe/Warsaw")

func mustLocation(name string) *time.Location {
	location, err := time.LoadLocation(name)
	if err != nil {
		panic("the time zone " + name + " is missing although it is built in")
	}
	return location
}

// today is the present calendar day in Warsaw, as a date in UTC.
func (b *base) today() time.Time { return dayInWarsaw(b.Now()) }

// dayInWarsaw is the calendar day of a time in Warsaw, as a date in UTC.
func dayInWarsaw(t time.Time) time.Time {
	y, m, d := t.In(Warsaw).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// settingsOf gives the values of a connection that workflows need.
func settingsOf(c *connection.Connection) flow.Settings {
	s := flow.Settings{
		TimeScale: c.TimeScale, Receive: c.Receive, ReceiveInterval: c.ReceiveInterval, ReceiveFrom: c.ReceiveFrom,
		Send: c.Send, SendInterval: c.SendInterval, OneByOne: c.OneByOne,
	}
	for _, subject := range c.ReceiveSubjects {
		s.Subjects = append(s.Subjects, flow.SubjectType(subject))
	}
	return s
}
