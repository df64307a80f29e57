package flow

import "time"

// Ref points to a document of the archive. Bytes never travel in history.
type Ref struct {
	SHA256 string `json:"sha256"` // lower-case hex of the exact bytes
	Size   int64  `json:"size"`   // bytes
}

// ListRef points to a list kept as an archive object.
type ListRef struct {
	Key    string `json:"key"`
	SHA256 string `json:"sha256"`
	Count  int    `json:"count"`
}

// Settings are the values of a connection that its workflows need. They come
// with the activities' results, so that an edited file takes effect with the
// next cycle.
type Settings struct {
	TimeScale       float64       `json:"timeScale"`
	Receive         string        `json:"receive"` // on, off, preview
	ReceiveInterval time.Duration `json:"receiveInterval"`
	ReceiveFrom     time.Time     `json:"receiveFrom"`
	Subjects        []string      `json:"subjects"` // Subject1, Subject2, Subject3, SubjectAuthorized
	Send            bool          `json:"send"`
	SendInterval    time.Duration `json:"sendInterval"`
	// OneByOne is how many received invoices at most are fetched one by one and not
	// as a package; 0: the workflow's own number.
	OneByOne int `json:"oneByOne,omitempty"`
}

// Limits are KSeF's request limits that the long-running workflows own, as
// GET /rate-limits gives them. Zero or less means no limit.
type Limits struct {
	QueriesPerMinute   int `json:"queriesPerMinute"`
	QueriesPerHour     int `json:"queriesPerHour"`
	DownloadsPerMinute int `json:"downloadsPerMinute"`
	DownloadsPerHour   int `json:"downloadsPerHour"`
	OpensPerMinute     int `json:"opensPerMinute"`
	OpensPerHour       int `json:"opensPerHour"`
	SendsPerMinute     int `json:"sendsPerMinute"`
	SendsPerHour       int `json:"sendsPerHour"`
	ExportsPerMinute   int `json:"exportsPerMinute"`
	ExportsPerHour     int `json:"exportsPerHour"`
	BatchesPerMinute   int `json:"batchesPerMinute"` // batch sessions opened
	BatchesPerHour     int `json:"batchesPerHour"`
}

// ConnectionInput is the input of activities that need a connection only.
type ConnectionInput struct {
	Connection string `json:"connection"`
}

// Authenticated is the result of the visible preflight of a cycle.
type Authenticated struct {
	Environment         string   `json:"environment"`
	NIP                 string   `json:"nip"`
	CertificateDaysLeft int      `json:"certificateDaysLeft"`
	Permissions         []string `json:"permissions,omitempty"`
	Warnings            []string `json:"warnings,omitempty"`
	Settings            Settings `json:"settings"`
	Limits              Limits   `json:"limits"`
	Blocked             []Block  `json:"blocked,omitempty"`
}

// ReceiveInput is the input of ReceiveInvoices. By hand {"connection":"acme"}
// is enough; State is carried over by continue-as-new.
type ReceiveInput struct {
	Connection string        `json:"connection"`
	State      *ReceiveState `json:"state,omitempty"`
}

// ReceiveState is what ReceiveInvoices remembers between its runs.
type ReceiveState struct {
	Cursors     map[string]Cursor `json:"cursors"`
	Paused      string            `json:"paused,omitempty"` // the reason; empty: not paused
	LastPoll    time.Time         `json:"lastPoll"`
	NextPoll    time.Time         `json:"nextPoll,omitzero"`
	LastRecheck time.Time         `json:"lastRecheck"`
	// LookedBack is, by subject type, when its last complete look back began, where
	// there is more than one subject type; LastRecheck is the oldest of them.
	LookedBack map[string]time.Time `json:"lookedBack,omitempty"`
	// Stuck is, by subject type, a time of storage that more invoices share than
	// KSeF shows of one query.
	Stuck map[string]time.Time `json:"stuck,omitempty"`
	// Behind is, by subject type, how far the sweeps behind the stuck moment are.
	Behind    map[string]Behind `json:"behind,omitempty"`
	Downloads []Spent           `json:"downloads,omitempty"`
	Queries   []Spent           `json:"queries,omitempty"`
	Exports   []Spent           `json:"exports,omitempty"`
	// NoExports is until when KSeF's export packages are done without, because
	// several in a row could not be had.
	NoExports time.Time `json:"noExports,omitzero"`
	// Manifest is the list of a package whose imports are not all started yet.
	Manifest *Manifest     `json:"manifest,omitempty"`
	Choice   string        `json:"choice,omitempty"`
	Totals   ReceiveTotals `json:"totals"`
}

// Behind is the position of the sweeps behind a moment where the cursor stays.
type Behind struct {
	At    time.Time `json:"at"`
	Tried time.Time `json:"tried"` // when it was last tried to bring the moment whole
}

// Manifest is where the imports of a package's list stand.
type Manifest struct {
	Window Window        `json:"window"`
	At     time.Time     `json:"at,omitzero"`      // where the cursor stood when the package had come
	Moves  bool          `json:"moves,omitempty"`  // the cursor follows,
	Behind bool          `json:"behind,omitempty"` // or the position behind a stuck moment
	Found  CollectedList `json:"found"`
	Next   int           `json:"next,omitempty"`   // position in the list
	Apart  int           `json:"apart,omitempty"`  // position in the list of what was not in the package
	Failed bool          `json:"failed,omitempty"` // some could not be started
}

// Cursor is the position up to which every received invoice of a subject type
// has its workflow.
type Cursor struct {
	At     time.Time `json:"at"`               // KSeF's permanentStorageHwmDate
	Reason string    `json:"reason,omitempty"` // of the last change by hand
}

// Spent is a number of requests spent of a quota at a time.
type Spent struct {
	At    time.Time `json:"at"`
	Count int       `json:"count"`
}

// ReceiveTotals count since the first start of ReceiveInvoices.
type ReceiveTotals struct {
	Cycles  int `json:"cycles"`
	Found   int `json:"found"`
	Started int `json:"started"`
	Known   int `json:"known"`
	Failed  int `json:"failed,omitempty"` // starts that failed; each is tried again, and counts again
	// Packages are the export packages that were brought, those of the list alone included.
	Packages int `json:"packages,omitempty"`
}

// ReceiveStatus answers the Status query of ReceiveInvoices.
type ReceiveStatus struct {
	Connection string            `json:"connection"`
	Doing      string            `json:"doing"`
	Paused     string            `json:"paused,omitempty"`
	Cursors    map[string]Cursor `json:"cursors"`
	LastPoll   time.Time         `json:"lastPoll"`
	NextPoll   time.Time         `json:"nextPoll"`
	// LastRecheck is when the last days were last queried once more.
	LastRecheck time.Time `json:"lastRecheck,omitzero"`
	// Stuck is, by subject type, a time of storage that more invoices share than
	// KSeF shows of one query: the cursor stays there.
	Stuck map[string]time.Time `json:"stuck,omitempty"`
	// Choice is how the last found invoices were brought, one by one or by an
	// export package, and why.
	Choice string `json:"choice,omitempty"`
	// Manifest is the list of a package whose imports are not all started yet.
	Manifest    *Manifest      `json:"manifest,omitempty"`
	LastPreview int            `json:"lastPreview,omitempty"` // invoices found in preview mode and not imported
	Preflight   *Authenticated `json:"preflight,omitempty"`
	Totals      ReceiveTotals  `json:"totals"`
}

// SubjectType gives KSeF's name (Subject1, ...) of a role in which a company
// receives invoices; roles are buyer (also the empty one), seller, third and
// authorized, as in RECEIVE_SUBJECTS, or KSeF's names themselves. It is empty
// for anything else.
func SubjectType(role string) string {
	switch role {
	case "buyer", "", "Subject2":
		return "Subject2"
	case "seller", "Subject1":
		return "Subject1"
	case "third", "Subject3":
		return "Subject3"
	case "authorized", "SubjectAuthorized":
		return "SubjectAuthorized"
	}
	return ""
}

// CursorChange is the input of the update SetCursor.
type CursorChange struct {
	Subject string    `json:"subject,omitempty"` // as SubjectType takes it; default buyer
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`
}

// Reason is the input of the update Pause.
type Reason struct {
	Reason string `json:"reason"`
}

// Window is one metadata query: both ends inclusive, at most 99 days.
type Window struct {
	Connection string    `json:"connection"`
	Subject    string    `json:"subject"`
	From       time.Time `json:"from"`
	To         time.Time `json:"to,omitzero"` // zero: now, restricted to the HWM
	PageOffset int       `json:"pageOffset,omitempty"`
}

// Found is the result of one metadata query.
type Found struct {
	List      ListRef   `json:"list"`
	HasMore   bool      `json:"hasMore,omitempty"`
	Truncated bool      `json:"truncated,omitempty"`
	HWM       time.Time `json:"hwm,omitzero"`
	LastDate  time.Time `json:"lastDate,omitzero"` // permanentStorageDate of the last record
	Known     int       `json:"known,omitempty"`   // of the list, those that have their document already
}

// StartImportsInput asks to start the imports of a list from a position on.
type StartImportsInput struct {
	Connection string  `json:"connection"`
	Subject    string  `json:"subject"`
	List       ListRef `json:"list"`
	From       int     `json:"from"`
	Most       int     `json:"most"` // new workflows at most
	// Packed tells that the XML of all is in the archive: they take nothing of the
	// quota of downloads, and Most does not count.
	Packed bool `json:"packed,omitempty"`
	// Page is how many positions are looked at at most; 0: no bound.
	Page int `json:"page,omitempty"`
}

// StartImportsResult tells how far StartImports came.
type StartImportsResult struct {
	Next    int `json:"next"` // position to go on from; List.Count when all are started or known
	Started int `json:"started"`
	Known   int `json:"known"`
	// Failed could not be started; the cursor stays, and they come again.
	Failed int `json:"failed,omitempty"`
	// Full tells that as many imports are under way as may be at once.
	Full bool `json:"full,omitempty"`
}

// ImportInput is the input of ImportInvoice. By hand
// {"connection":"acme","ksefNumber":"..."} is enough.
type ImportInput struct {
	Connection string `json:"connection"`
	KSeFNumber string `json:"ksefNumber"`
	SHA256     string `json:"sha256,omitempty"`  // hex, as KSeF's metadata tells it
	Subject    string `json:"subject,omitempty"` // under which it was found
}

// FetchedInvoice is the result of FetchInvoiceXML.
type FetchedInvoice struct {
	Document   Ref    `json:"document"`
	Readable   bool   `json:"readable"` // false: not a readable FA(3); KSeF's metadata is used
	Number     string `json:"number,omitempty"`
	SellerNIP  string `json:"sellerNip,omitempty"`
	SellerName string `json:"sellerName,omitempty"`
	Gross      string `json:"gross,omitempty"`
	Currency   string `json:"currency,omitempty"`
}

// FindSupplierInput asks for the Teamogy company of a seller.
type FindSupplierInput struct {
	Connection string `json:"connection"`
	KSeFNumber string `json:"ksefNumber"`
	NIP        string `json:"nip"`
}

// Supplier is the Teamogy company of a seller, or none.
type Supplier struct {
	CompanyID  int64   `json:"companyId,omitempty"` // 0: none
	Found      bool    `json:"found"`
	Ambiguous  bool    `json:"ambiguous,omitempty"`
	Fallback   bool    `json:"fallback,omitempty"` // RECEIVE_COMPANY was taken
	Candidates []int64 `json:"candidates,omitempty"`
}

// CreateReceivedInput asks for the purchase invoice of a fetched invoice.
type CreateReceivedInput struct {
	Connection string   `json:"connection"`
	KSeFNumber string   `json:"ksefNumber"`
	Document   Ref      `json:"document"`
	Supplier   Supplier `json:"supplier"`
}

// Resolution is the input of the update Resolve: what a person has found in
// Teamogy about a create without an answer. Exactly one of DocumentID and
// NotCreated is given.
type Resolution struct {
	DocumentID int64  `json:"documentId,omitempty"` // the document that it made
	NotCreated bool   `json:"notCreated,omitempty"` // it made none
	Who        string `json:"who,omitempty"`        // has found it out; kept in the record
	Reason     string `json:"reason,omitempty"`     // likewise
}

// Problem says what is wrong with the input, in words; empty: nothing.
func (r Resolution) Problem() string {
	switch {
	case r.DocumentID < 0:
		return "the documentId is negative"
	case r.DocumentID != 0 && r.NotCreated:
		return "either documentId or notCreated, not both"
	case r.DocumentID == 0 && !r.NotCreated:
		return "documentId or notCreated is missing"
	}
	return ""
}

// ResolveReceivedInput asks to take over what a person has found out.
type ResolveReceivedInput struct {
	Connection string     `json:"connection"`
	KSeFNumber string     `json:"ksefNumber"`
	Resolution Resolution `json:"resolution"`
}

// ImportResult is the result of ImportInvoice.
type ImportResult struct {
	DocumentID int64    `json:"documentId"`
	Number     string   `json:"number,omitempty"` // Teamogy's registration number
	Notes      []string `json:"notes,omitempty"`  // what a person should check
	Existed    bool     `json:"existed,omitempty"`
}
