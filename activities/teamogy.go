package activities

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/invoice"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/teamogy"
)

// The words that stand on a sales invoice in Teamogy.
const (
	ksefStatusAccepted = "ACCEPTED"
	ksefStatusRejected = "REJECTED"
	// checkTag marks received documents that a person should look at.
	checkTag = "check"
)

// FindSupplier finds the Teamogy company of a seller by its NIP. Not finding
// one, or several, is an outcome and no error: the document is made all the
// same.
func (t *Teamogy) FindSupplier(ctx context.Context, in flow.FindSupplierInput) (out flow.Supplier, err error) {
	defer t.failed(ctx, in.Connection, &err)
	client, c, err := t.Connections.Teamogy(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	record, err := t.receivedRecord(ctx, in.Connection, in.KSeFNumber)
	if err != nil {
		return out, archiving("read the record of "+in.KSeFNumber, err)
	}
	if record.Created != nil || in.NIP == "" {
		return withFallback(out, c), nil
	}
	match, err := client.FindCompanyByNIP(teamogy.WithPriority(ctx, teamogy.Low), in.NIP)
	if err != nil {
		return out, err
	}
	if match.Found {
		return flow.Supplier{CompanyID: match.ID, Found: true}, nil
	}
	return withFallback(flow.Supplier{Ambiguous: match.Ambiguous, Candidates: firstFew(match.Candidates)}, c), nil
}

func withFallback(s flow.Supplier, c *connection.Connection) flow.Supplier {
	if c.ReceiveCompany != 0 {
		s.CompanyID, s.Fallback = c.ReceiveCompany, true
	}
	return s
}

func firstFew(ids []int64) []int64 {
	return ids[:min(len(ids), 10)]
}

type purchase struct {
	teamogy.NewPurchaseInvoice
	notes []string
}

// purchase fills the document from the invoice's XML and, where that cannot
// be read, from KSeF's metadata; what a person should look at becomes a note.
func (t *Teamogy) purchase(ctx context.Context, c *connection.Connection, in flow.CreateReceivedInput, record *receivedRecord) (purchase, error) {
	p := purchase{NewPurchaseInvoice: teamogy.NewPurchaseInvoice{
		OwnerID: c.ReceiveOwner, CompanyID: in.Supplier.CompanyID, Status: c.ReceiveStatus,
		Process: c.ReceiveProcess, ParticipantIDs: c.ReceiveParticipants,
		KSeFNumber: in.KSeFNumber, XMLSHA256: in.Document.SHA256, ArchiveRef: "documents/" + in.Document.SHA256,
		ReceivedDate: t.today(),
	}}
	xml, err := t.Archive.Document(ctx, in.Document.SHA256)
	if err != nil {
		return p, archiving("read the XML of "+in.KSeFNumber, err)
	}
	document, unreadable := invoice.Read(xml)
	if unreadable == nil {
		p.fromDocument(document, c)
	} else {
		p.add("The XML cannot be read (%v). The data are KSeF's own.", unreadable)
	}
	if m := record.Metadata; m != nil {
		p.fromMetadata(m)
	} else if number, err := ksef.ParseNumber(in.KSeFNumber); err == nil && p.AcquisitionDate.IsZero() {
		p.AcquisitionDate = number.AcceptedOn()
	}
	p.aboutSupplier(in.Supplier)
	if len(p.notes) > 0 {
		p.Tags = []string{checkTag}
		for i, n := range p.notes {
			if i > 0 {
				p.Note += "\n"
			}
			p.Note += n
		}
	}
	return p, nil
}

func (p *purchase) add(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

func (p *purchase) fromDocument(d invoice.Document, c *connection.Connection) {
	p.Kind, p.InvoiceNumber, p.Currency = d.Kind, d.Number, d.Currency
	p.SellerNIP, p.SellerName = d.Seller.NIP, d.Seller.Name
	p.BankAccount, p.PaymentForm = d.BankAccount, d.PaymentForm
	p.IssueDate, p.SupplyDate, p.DueDate = d.IssueDate, d.SupplyDate, d.DueDate
	p.Net, p.VAT, p.Gross, p.OnlyGross = d.Net, d.VAT, d.Gross, !d.HasTotals
	if d.Form.SystemCode != ksef.FA3.SystemCode {
		p.add("The invoice's form %q is not FA (3): check the data against the invoice.", d.Form.SystemCode)
	}
	if len(d.Unread) > 0 {
		p.add("Not all of the invoice could be read: check %v.", d.Unread)
	}
	if d.Buyer.NIP != c.NIP {
		p.add("The buyer on the invoice is %s, not NIP %s.", buyerWords(d.Buyer), c.NIP)
	}
	if d.HasAttachment {
		p.add("The invoice carries a structured attachment, which is only in its XML.")
	}
}

func buyerWords(b invoice.Party) string {
	switch {
	case b.NIP != "":
		return "NIP " + b.NIP
	case b.VatID != "":
		return b.VatID
	case b.Name != "":
		return b.Name
	}
	return "not named"
}

func (p *purchase) fromMetadata(m *ksef.Metadata) {
	p.AcquisitionDate = m.AcquisitionDate
	if p.InvoiceNumber != "" || p.SellerNIP != "" {
		return
	}
	p.InvoiceNumber, p.SellerNIP, p.SellerName, p.Currency = m.InvoiceNumber, m.SellerNIP, m.SellerName, m.Currency
	p.Net, p.VAT, p.Gross = m.Net, m.VAT, m.Gross
	if day, err := time.Parse(time.DateOnly, m.IssueDate); err == nil {
		p.IssueDate = day
	}
}

func (p *purchase) aboutSupplier(s flow.Supplier) {
	switch {
	case s.Ambiguous:
		p.add("Several companies in Teamogy have the seller's NIP %s: %v. Assign the right one.", p.SellerNIP, s.Candidates)
	case !s.Found && p.SellerNIP == "":
		p.add("The seller has no NIP on the invoice. Assign the company.")
	case !s.Found:
		p.add("The seller %s (NIP %s) is not among Teamogy's contacts. Assign the company or create it.", p.SellerName, p.SellerNIP)
	}
}

// FetchIssuedXML reads the record and, unless KSeF has accepted the document
// before, brings the exact bytes of the issued invoice into the archive before
// anything else happens to them.
func (t *Teamogy) FetchIssuedXML(ctx context.Context, in flow.SendInvoiceInput) (out flow.IssuedInvoice, err error) {
	defer t.failed(ctx, in.Connection, &err)
	client, c, err := t.Connections.Teamogy(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	record, err := t.sentRecord(ctx, in.Connection, in.DocumentID)
	if err != nil {
		return out, archiving("read the record", err)
	}
	xml, info, err := t.issuedXML(ctx, client, c, in, record)
	if a := record.Accepted; a != nil {
		// There is nothing to send; but the number belongs to the bytes that
		// KSeF has, and to no others.
		switch {
		case err == nil:
			same, err := t.sameAsKept(ctx, xml, a.SHA256)
			if err != nil {
				return out, err
			}
			if !same {
				return out, newProblem(flow.ErrIssuedOtherwise, "%s", issuedOtherwise(a))
			}
		case !xmlMissing(err) && !deleted(ctx, client, err):
			return out, err
		}
		out.Accepted, out.Document = a, flow.Ref{SHA256: a.SHA256}
		return out, nil
	}
	switch {
	case deleted(ctx, client, err):
		return out, newProblem(flow.ErrDocumentUnknown, "Teamogy has no document %d: %v", in.DocumentID, err)
	case info.KSeFNumber != "":
		return out, t.numbered(ctx, in, xml, info.KSeFNumber)
	case in.Listed && info.Status != "" && info.Status != c.SendReadyStatus:
		return out, newProblem(flow.ErrNotReady, "%s was ready when it was listed, and is now %q", documentName(in.DocumentID), info.Status)
	case err != nil:
		return out, err
	}
	ref, err := t.Archive.PutDocument(ctx, xml)
	if err != nil {
		return out, archiving("keep the invoice's XML", err)
	}
	out = flow.IssuedInvoice{Document: flow.Ref(ref), Number: info.Number}
	fact := fetchedFact{SHA256: ref.SHA256, Size: ref.Size}
	document, unreadable := invoice.Read(xml)
	if unreadable == nil {
		out.Number, out.Buyer = document.Number, document.Buyer.Name
		out.Gross, out.Currency = document.Gross.StringFixed(2), document.Currency
		fact.Number, fact.Form, fact.Seller = document.Number, document.Form.SystemCode, document.Seller.NIP
		if !document.IssueDate.IsZero() {
			fact.Issued = document.IssueDate.Format(time.DateOnly)
		}
	}
	if err := t.note(ctx, sentKey(c.Name, in.DocumentID), factFetched, short(ref.SHA256), fact); err != nil {
		return out, archiving("record what was fetched", err)
	}
	return out, archiving("index the document", t.indexSent(ctx, c.Name, in.DocumentID, document.IssueDate))
}

// shownFor is how long after Teamogy's list has shown a ready document, with its XML, that is taken for the document
// itself. It is real time, as people's changes are.
const shownFor = time.Minute

// issuedXML is the document's XML with the document itself: as Teamogy's list has shown it a moment ago, when it was
// ready and had no KSeF number, or as it is.
func (t *Teamogy) issuedXML(ctx context.Context, client TeamogyClient, c *connection.Connection, in flow.SendInvoiceInput, record *sentRecord) ([]byte, teamogy.DocumentInfo, error) {
	if shown := in.Shown; shown != nil && in.Listed && record.Accepted == nil && t.Now().Sub(shown.At).Abs() < shownFor {
		xml, err := t.Archive.Document(ctx, shown.Document.SHA256)
		if err == nil {
			return xml, teamogy.DocumentInfo{ID: in.DocumentID, Number: shown.Number, Status: c.SendReadyStatus}, nil
		}
		if !errors.Is(err, archive.ErrNotFound) {
			return nil, teamogy.DocumentInfo{}, archiving("read the invoice's XML", err)
		}
	}
	return client.ReadInvoiceXML(teamogy.WithPriority(ctx, teamogy.Normal), in.DocumentID)
}

// numbered refuses a document that carries a KSeF number already. It is
// recorded, so that not every poll tries it again.
func (t *Teamogy) numbered(ctx context.Context, in flow.SendInvoiceInput, xml []byte, ksefNumber string) error {
	text := fmt.Sprintf("%s carries the KSeF number %s already", documentName(in.DocumentID), ksefNumber)
	fact := sessionFact{Type: flow.ErrNumbered, Text: text}
	if len(xml) > 0 { // kept, so that the same content is known again when it was rendered anew
		ref, err := t.Archive.PutDocument(ctx, xml)
		if err != nil {
			return archiving("keep the invoice's XML", err)
		}
		fact.SHA256 = ref.SHA256
	}
	if err := t.note(ctx, sentKey(in.Connection, in.DocumentID), factRejected, "numbered-"+short(fact.SHA256), fact); err != nil {
		return archiving("record the refusal", err)
	}
	return newProblem(flow.ErrNumbered, "%s", text)
}

// RecordKSeFNumber writes KSeF's answer to the document in one PATCH: number,
// time, mode, link and the place of the confirmation go together.
// A document that was deleted meanwhile is no error: the record has the number.
func (t *Teamogy) RecordKSeFNumber(ctx context.Context, in flow.RecordNumberInput) (out flow.Written, err error) {
	defer t.failed(ctx, in.Connection, &err)
	client, c, err := t.Connections.Teamogy(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	link, err := t.verificationLink(ctx, c, in.Answer)
	if err != nil {
		return out, err
	}
	err = client.PatchSalesInvoice(teamogy.WithPriority(ctx, teamogy.High), in.DocumentID, teamogy.SalesPatch{
		Status: c.SendSentStatus, From: c.SendReadyStatus, KSeFNumber: in.Answer.KSeFNumber, KSeFStatus: ksefStatusAccepted,
		AcceptedAt: in.Answer.AcquisitionDate, Mode: in.Answer.Mode, VerificationLink: link,
		UPOReference: upoKey(in.Answer.KSeFNumber), SessionReference: in.Answer.SessionReference,
		ClearMessage: true, First: t.firstWrite(c.Name, in),
	})
	if locked(err) { // its number is there; what else an earlier attempt did not write cannot be added any more
		t.Logger.WarnContext(ctx, "Teamogy does not let a document with its KSeF number be completed", "connection", c.Name, "documentId", in.DocumentID, "error", err)
		err = nil
	}
	if deleted(ctx, client, err) {
		t.Logger.ErrorContext(ctx, "a document was deleted in Teamogy after it had been sent to KSeF",
			"connection", c.Name, "documentId", in.DocumentID, "ksefNumber", in.Answer.KSeFNumber)
		out.Gone, err = true, nil
	}
	if err != nil {
		return out, err
	}
	return out, archiving("record that the number is written back",
		t.note(ctx, sentKey(c.Name, in.DocumentID), factWrittenBack, numberFact, writtenFact{KSeFNumber: in.Answer.KSeFNumber, SHA256: in.Answer.SHA256}))
}

// firstWrite lets the number be written without reading the document before and after, if nothing was ever written to
// it: no number, also not by an attempt that got no answer, and no rejection, whose message would have to be cleared.
func (t *Teamogy) firstWrite(connectionName string, in flow.RecordNumberInput) *teamogy.FirstWrite {
	key := sentKey(connectionName, in.DocumentID)
	return &teamogy.FirstWrite{
		Due: func(ctx context.Context) (bool, error) {
			record, err := t.sentRecord(ctx, connectionName, in.DocumentID)
			if err != nil {
				return false, archiving("read the record", err)
			}
			return !record.everRefused() && len(record.Writing) == 0 && len(record.WrittenBack) == 0, nil
		},
		Begin: func(ctx context.Context) error {
			added, err := t.noteNew(ctx, key, factWriting, numberFact, writtenFact{KSeFNumber: in.Answer.KSeFNumber})
			if err != nil {
				return archiving("record that the number is about to be written", err)
			}
			if !added {
				return newProblem(flow.ErrTeamogyUnavailable, "another worker is writing to %s: this attempt leaves it to that one", documentName(in.DocumentID))
			}
			return nil
		},
	}
}

// verificationLink is the public link behind QR code I of the invoice.
func (t *Teamogy) verificationLink(ctx context.Context, c *connection.Connection, answer flow.Transmitted) (string, error) {
	xml, err := t.Archive.Document(ctx, answer.SHA256)
	if err != nil {
		return "", archiving("read the invoice's XML", err)
	}
	// What KSeF has accepted can be read; if not, only the link is missing.
	document, _ := invoice.Read(xml)
	if document.IssueDate.IsZero() {
		return "", nil
	}
	return ksef.VerificationLink(ksef.Environment(c.KSeFEnvironment).QRBaseURL(), document.Seller.NIP, document.IssueDate, hashBytes(xml)), nil
}

// RecordRejection writes a rejection to the document, with the reason in plain
// words, and to the record, so that the same content is not sent again.
func (t *Teamogy) RecordRejection(ctx context.Context, in flow.RecordRejectionInput) (_ flow.Nothing, err error) {
	defer t.failed(ctx, in.Connection, &err)
	client, c, err := t.Connections.Teamogy(ctx, in.Connection)
	if err != nil {
		return flow.Nothing{}, err
	}
	key, run := sentKey(c.Name, in.DocumentID), short(runOf(ctx))
	if err := t.note(ctx, key, factRejected, "run-"+run, sessionFact{SHA256: in.SHA256, Type: in.Type, Text: in.Reason}); err != nil {
		return flow.Nothing{}, archiving("record the rejection", err)
	}
	patch := teamogy.SalesPatch{Status: c.SendRejectedStatus, From: c.SendReadyStatus, KSeFStatus: ksefStatusRejected, Message: in.Reason}
	written := writtenFact{SHA256: in.SHA256, Rejection: in.Type}
	if in.Type == flow.ErrIssuedOtherwise {
		record, err := t.sentRecord(ctx, c.Name, in.DocumentID)
		if err != nil {
			return flow.Nothing{}, archiving("read the record", err)
		}
		if a := record.Accepted; a != nil { // the invoice is issued: its number stands beside the reason
			patch.KSeFNumber, patch.AcceptedAt, written.KSeFNumber = a.KSeFNumber, a.AcquisitionDate, a.KSeFNumber
		}
	}
	ctx = teamogy.WithPriority(ctx, teamogy.High)
	if corrected, err := t.corrected(ctx, client, in); corrected || err != nil {
		return flow.Nothing{}, err
	}
	err = client.PatchSalesInvoice(ctx, in.DocumentID, patch)
	if deleted(ctx, client, err) {
		return flow.Nothing{}, nil // the document is gone; the record knows
	}
	if locked(err) {
		t.Logger.WarnContext(ctx, "the refusal cannot be written to the document, which Teamogy has locked",
			"connection", c.Name, "documentId", in.DocumentID, "reason", in.Reason, "error", err)
		return flow.Nothing{}, nil
	}
	if err != nil {
		return flow.Nothing{}, err
	}
	return flow.Nothing{}, archiving("record that the rejection is written back",
		t.note(ctx, key, factWrittenBack, "rejection-"+run, written))
}

// corrected tells whether the document holds other content by now than was
// refused: then the refusal must not be written over it.
func (t *Teamogy) corrected(ctx context.Context, client TeamogyClient, in flow.RecordRejectionInput) (bool, error) {
	if in.SHA256 == "" {
		return false, nil
	}
	xml, _, err := client.ReadInvoiceXML(ctx, in.DocumentID)
	switch {
	case err == nil:
		same, err := t.sameAsKept(ctx, xml, in.SHA256)
		return !same, err
	case xmlMissing(err), deleted(ctx, client, err):
		return true, nil
	}
	return false, err
}

// documentName is how messages name a Teamogy document.
func documentName(id int64) string { return "Teamogy document " + strconv.FormatInt(id, 10) }

// goneTries is after how many attempts an answer that some gateways give for a deleted document is believed: about
// twenty minutes, while Teamogy answers other questions.
const goneTries = 12

// deleted tells whether an error says that the document that was asked for does not exist any more: a plain 404 says
// so at once, a page with status 404 or an empty answer when it lasts.
func deleted(ctx context.Context, client TeamogyClient, err error) bool {
	if notFound(err) {
		return true
	}
	var failure *teamogy.Error
	return errors.As(err, &failure) && failure.MayBeDeleted() && triesOf(ctx) >= goneTries && client.Ping(ctx) == nil
}

// xmlMissing tells whether a document has no invoice XML where the field map says it is.
func xmlMissing(err error) bool {
	var failure *teamogy.Error
	return errors.As(err, &failure) && failure.Kind == teamogy.XMLMissing
}

// locked tells whether Teamogy does not let a document be changed any more, because it has its KSeF number.
func locked(err error) bool {
	var failure *teamogy.Error
	return errors.As(err, &failure) && failure.Kind == teamogy.Locked
}
