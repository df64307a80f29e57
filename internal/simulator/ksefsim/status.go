package ksefsim

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// linkLife is how long an unauthenticated UPO link works.
const linkLife = 3 * 24 * time.Hour

// sessionStatusDoc is one session as GET /sessions/{ref} shows it. Only an
// interactive session that is still open has a time until which it is valid.
type sessionStatusDoc struct {
	Status                 statusInfo `json:"status"`
	DateCreated            string     `json:"dateCreated"`
	DateUpdated            string     `json:"dateUpdated"`
	ValidUntil             *string    `json:"validUntil,omitempty"`
	UPO                    *upoDoc    `json:"upo,omitempty"`
	InvoiceCount           int        `json:"invoiceCount"`
	SuccessfulInvoiceCount int        `json:"successfulInvoiceCount"`
	FailedInvoiceCount     int        `json:"failedInvoiceCount"`
}

type upoDoc struct {
	Pages []upoPageDoc `json:"pages"`
}

type upoPageDoc struct {
	ReferenceNumber           string `json:"referenceNumber"`
	DownloadURL               string `json:"downloadUrl"`
	DownloadURLExpirationDate string `json:"downloadUrlExpirationDate"`
}

// sessionItemDoc is one session as GET /sessions lists it.
type sessionItemDoc struct {
	ReferenceNumber        string     `json:"referenceNumber"`
	Status                 statusInfo `json:"status"`
	DateCreated            string     `json:"dateCreated"`
	DateUpdated            string     `json:"dateUpdated"`
	ValidUntil             *string    `json:"validUntil,omitempty"`
	TotalInvoiceCount      int        `json:"totalInvoiceCount"`
	SuccessfulInvoiceCount int        `json:"successfulInvoiceCount"`
	FailedInvoiceCount     int        `json:"failedInvoiceCount"`
}

// invoiceStatusDoc is one invoice of a session.
type invoiceStatusDoc struct {
	OrdinalNumber            int        `json:"ordinalNumber"`
	InvoiceNumber            string     `json:"invoiceNumber,omitempty"`
	KSeFNumber               string     `json:"ksefNumber,omitempty"`
	ReferenceNumber          string     `json:"referenceNumber"`
	InvoiceHash              string     `json:"invoiceHash"`
	InvoiceFileName          string     `json:"invoiceFileName,omitempty"`
	AcquisitionDate          *string    `json:"acquisitionDate,omitempty"`
	InvoicingDate            string     `json:"invoicingDate"`
	PermanentStorageDate     *string    `json:"permanentStorageDate,omitempty"`
	UPODownloadURL           string     `json:"upoDownloadUrl,omitempty"`
	UPODownloadURLExpiration *string    `json:"upoDownloadUrlExpirationDate,omitempty"`
	InvoicingMode            string     `json:"invoicingMode,omitempty"`
	Status                   statusInfo `json:"status"`
}

func (n *session) statusInfo() statusInfo {
	words := sessionDescriptions[n.code]
	if n.batch != nil && batchDescriptions[n.code] != "" {
		words = batchDescriptions[n.code]
	}
	if words == "" {
		words = "Status " + itoa(n.code)
	}
	return statusInfo{Code: n.code, Description: words, Details: n.details}
}

// state is the coarse state that the list of sessions filters by.
func (n *session) state() string {
	switch n.code {
	case sessionOpen, sessionProcessing, sessionClosed:
		return "InProgress"
	case sessionDone:
		return "Succeeded"
	case sessionCancelled:
		return "Cancelled"
	}
	return "Failed"
}

// sessionType is what the list of sessions asks for.
func (n *session) sessionType() string {
	if n.batch != nil {
		return "Batch"
	}
	return "Online"
}

// sessionStatus answers GET /sessions/{ref}.
func (s *Simulator) sessionStatus(c *call) (*reply, error) {
	s.lock(c.now)
	defer s.mu.Unlock()
	n, err := s.ownSession(c, c.r.PathValue("ref"))
	if err != nil {
		return nil, err
	}
	doc := sessionStatusDoc{
		Status: n.statusInfo(), DateCreated: stamp(n.created), DateUpdated: stamp(n.updated), InvoiceCount: len(n.invoices),
	}
	if n.code == sessionOpen && n.batch == nil {
		doc.ValidUntil = stampOrNil(n.validUntil)
	}
	doc.SuccessfulInvoiceCount, doc.FailedInvoiceCount = n.accepted, n.rejected
	if len(n.pages) > 0 {
		doc.UPO = &upoDoc{}
	}
	until := c.now.Add(linkLife).Truncate(time.Second) // a link carries whole seconds
	for _, page := range n.pages {
		doc.UPO.Pages = append(doc.UPO.Pages, upoPageDoc{
			ReferenceNumber: page.ref, DownloadURL: s.link(c, n.ref, "upo", page.ref, until),
			DownloadURLExpirationDate: stamp(until),
		})
	}
	return jsonReply(http.StatusOK, doc)
}

// listSessions answers GET /sessions, newest first.
func (s *Simulator) listSessions(c *call) (*reply, error) {
	q := c.r.URL.Query()
	if kind := q.Get("sessionType"); kind != "Online" && kind != "Batch" {
		return nil, invalid("Parametr sessionType jest wymagany: Online albo Batch.")
	}
	size, err := c.queryInt("pageSize", 10, 10, 1000)
	if err != nil {
		return nil, err
	}
	fits, err := s.sessionFilter(c)
	if err != nil {
		return nil, err
	}
	before, err := c.continuation()
	if err != nil {
		return nil, err
	}
	s.lock(c.now)
	defer s.mu.Unlock()
	if before == 0 {
		before = len(s.sessionOrder)
	}
	items, next := []sessionItemDoc{}, 0
	for i := min(before, len(s.sessionOrder)) - 1; i >= 0; i-- {
		n := s.sessionOrder[i]
		if n.sessionType() != q.Get("sessionType") || n.auth.context != c.token.auth.context || !fits(n) ||
			(n.auth.subject != c.token.auth.subject && !c.token.may("Introspection", "EnforcementOperations")) {
			continue
		}
		if len(items) == size {
			next = i + 1
			break
		}
		item := sessionItemDoc{
			ReferenceNumber: n.ref, Status: n.statusInfo(), DateCreated: stamp(n.created), DateUpdated: stamp(n.updated),
			TotalInvoiceCount: len(n.invoices), SuccessfulInvoiceCount: n.accepted, FailedInvoiceCount: n.rejected,
		}
		if n.batch == nil {
			item.ValidUntil = stampOrNil(n.validUntil)
		}
		items = append(items, item)
	}
	doc := map[string]any{"sessions": items}
	if next > 0 {
		doc["continuationToken"] = continuationToken(next)
	}
	return jsonReply(http.StatusOK, doc)
}

// sessionFilter reads the filters of GET /sessions.
func (s *Simulator) sessionFilter(c *call) (func(*session) bool, error) {
	q := c.r.URL.Query()
	bounds := map[string]time.Time{}
	for _, name := range []string{
		"dateCreatedFrom", "dateCreatedTo", "dateClosedFrom", "dateClosedTo", "dateModifiedFrom", "dateModifiedTo",
	} {
		if text := q.Get(name); text != "" {
			t, err := s.parseTime(text)
			if err != nil {
				return nil, invalid("Parametr " + name + ": oczekiwano daty i godziny.")
			}
			bounds[name] = t
		}
	}
	states := q["statuses"]
	for _, state := range states {
		if !slices.Contains([]string{"InProgress", "Succeeded", "Failed", "Cancelled"}, state) {
			return nil, invalid("Parametr statuses: nieznana wartość " + state + ".")
		}
	}
	within := func(t time.Time, name string) bool {
		from, hasFrom := bounds[name+"From"]
		to, hasTo := bounds[name+"To"]
		if t.IsZero() {
			return !hasFrom && !hasTo
		}
		return (!hasFrom || !t.Before(from)) && (!hasTo || !t.After(to))
	}
	ref := q.Get("referenceNumber")
	return func(n *session) bool {
		return (ref == "" || n.ref == ref) && (len(states) == 0 || slices.Contains(states, n.state())) &&
			within(n.created, "dateCreated") && within(n.closedAt, "dateClosed") && within(n.updated, "dateModified")
	}, nil
}

// listInvoices answers GET /sessions/{ref}/invoices.
func (s *Simulator) listInvoices(c *call) (*reply, error) {
	return s.pageOfInvoices(c, func(*sentInvoice) bool { return true })
}

// listFailed answers GET /sessions/{ref}/invoices/failed.
func (s *Simulator) listFailed(c *call) (*reply, error) {
	return s.pageOfInvoices(c, func(i *sentInvoice) bool { return i.code != 0 && i.code != invoiceAccepted })
}

func (s *Simulator) pageOfInvoices(c *call, fits func(*sentInvoice) bool) (*reply, error) {
	size, err := c.queryInt("pageSize", 10, 10, 1000)
	if err != nil {
		return nil, err
	}
	after, err := c.continuation()
	if err != nil {
		return nil, err
	}
	s.lock(c.now)
	defer s.mu.Unlock()
	n, err := s.ownSession(c, c.r.PathValue("ref"))
	if err != nil {
		return nil, err
	}
	lag := time.Time{}
	if f := c.strike(faultListLags); f != nil {
		lag = c.now.Add(-s.delay(f))
	}
	list, next := []invoiceStatusDoc{}, 0
	for _, i := range n.invoices[min(after, len(n.invoices)):] {
		if !fits(i) || (!lag.IsZero() && i.arrived.After(lag)) {
			continue
		}
		if len(list) == size {
			next = i.ordinal - 1
			break
		}
		list = append(list, s.invoiceDoc(c, i))
	}
	doc := map[string]any{"invoices": list}
	if next > 0 {
		doc["continuationToken"] = continuationToken(next)
	}
	return jsonReply(http.StatusOK, doc)
}

// invoiceStatus answers GET /sessions/{ref}/invoices/{invoiceRef}.
func (s *Simulator) invoiceStatus(c *call) (*reply, error) {
	s.lock(c.now)
	defer s.mu.Unlock()
	n, err := s.ownSession(c, c.r.PathValue("ref"))
	if err != nil {
		return nil, err
	}
	i := n.byRef[c.r.PathValue("invoiceRef")]
	if i == nil {
		return nil, invalid("Faktura o numerze referencyjnym " + c.r.PathValue("invoiceRef") + " nie została znaleziona w sesji.")
	}
	return jsonReply(http.StatusOK, s.invoiceDoc(c, i))
}

// invoiceDoc is an invoice's status at the time of a call. The lock must be
// held.
func (s *Simulator) invoiceDoc(c *call, i *sentInvoice) invoiceStatusDoc {
	doc := invoiceStatusDoc{
		OrdinalNumber: i.ordinal, ReferenceNumber: i.ref, InvoiceHash: i.declaredHash,
		InvoiceFileName: i.fileName, InvoicingDate: stamp(i.sentAt), Status: i.status(c.now),
	}
	if i.record == nil {
		return doc
	}
	until := c.now.Add(linkLife).Truncate(time.Second) // a link carries whole seconds
	doc.InvoiceNumber, doc.KSeFNumber, doc.InvoicingMode = i.invoice.number, i.record.number, i.record.mode
	doc.AcquisitionDate = stampOrNil(i.record.acquired)
	if !i.record.stored.After(c.now) {
		doc.PermanentStorageDate = stampOrNil(i.record.stored)
	}
	doc.UPODownloadURL = s.link(c, i.session.ref, "invoice-upo", i.record.number, until)
	doc.UPODownloadURLExpiration = stampOrNil(until)
	return doc
}

// continuation reads the request header x-continuation-token: the position to
// go on from, 0 for the start.
func (c *call) continuation() (int, error) {
	text := c.r.Header.Get("x-continuation-token")
	if text == "" {
		return 0, nil
	}
	plain, err := base64.StdEncoding.DecodeString(text)
	number, found := strings.CutPrefix(string(plain), "position:")
	n, bad := strconv.Atoi(number)
	if err != nil || !found || bad != nil || n < 1 {
		return 0, refuse(21418)
	}
	return n, nil
}

func continuationToken(position int) string {
	return base64.StdEncoding.EncodeToString([]byte("position:" + strconv.Itoa(position)))
}
