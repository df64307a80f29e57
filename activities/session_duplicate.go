package activities

import (
	"context"
	"fmt"
	"slices"
	"time"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/invoice"
	"teamogy-ksef/internal/ksef"
)

// resolveDuplicate finds out whose the original is that KSeF names. Bytes that
// we have ever submitted for this document are our own earlier success, also
// if Teamogy has rendered the XML anew since. Anything else is somebody
// else's, whatever it says: its number is named and never taken over.
func (s *Session) resolveDuplicate(ctx context.Context, seen *sessionLists, connection string, item flow.HandOver, reference string, status *ksef.InvoiceStatus, fact sessionFact) (collectEnd, error) {
	original, err := s.originalOnce(ctx, seen, connection, status)
	if err != nil {
		return endOpen, err
	}
	record, err := s.sentRecord(ctx, connection, item.DocumentID)
	if err != nil {
		return endOpen, archiving("read the record", err)
	}
	if original.sha256 != item.SHA256 && !slices.Contains(record.hashes(), original.sha256) {
		fact.Type, fact.Text = flow.ErrNumberTaken, s.numberTaken(ctx, seen.client, item, status, original)
		return endDecided, s.noteEnd(ctx, connection, item, reference, factRejected, fact)
	}
	accepted := flow.Transmitted{
		DocumentID: item.DocumentID, SHA256: original.sha256, KSeFNumber: status.OriginalKSeFNumber,
		AcquisitionDate: original.acquired, Mode: original.mode,
		SessionReference: status.OriginalSessionReference, InvoiceReference: original.reference, Adopted: true,
	}
	if err := s.noteAccepted(ctx, connection, item, accepted, original.upo); err != nil {
		return endOpen, err
	}
	if record.Accepted = &accepted; original.sha256 == item.SHA256 {
		return endDecided, nil
	}
	known, _, err := s.known(ctx, record, item)
	if err != nil {
		return endOpen, err
	}
	if known.Accepted != nil {
		return endDecided, nil
	}
	// KSeF has an earlier content of the document, which was changed since.
	fact.Type, fact.Text = flow.ErrIssuedOtherwise, issuedOtherwise(&accepted)
	return endDecided, s.noteEnd(ctx, connection, item, reference, factRejected, fact)
}

// numberTaken says whose move it is when KSeF holds an invoice that we never
// sent under the number of ours. If it says the same as ours, other software
// has probably issued it from the same document, which a person must know.
func (s *Session) numberTaken(ctx context.Context, client KSeFClient, item flow.HandOver, status *ksef.InvoiceStatus, original originalInvoice) string {
	text := fmt.Sprintf("KSeF already holds an invoice with this number, with other content: KSeF number %s (%s)", status.OriginalKSeFNumber, saying(status))
	theirs := original.xml
	if theirs == nil {
		var err error
		if theirs, err = client.DownloadInvoice(ksef.Spare(ctx), status.OriginalKSeFNumber, ""); err != nil {
			return text // it would only have said more
		}
	}
	ours, err := s.Archive.Document(ctx, item.SHA256)
	if err != nil || !invoice.SameApartFromRenderingTime(ours, theirs) {
		return text
	}
	return fmt.Sprintf("KSeF already holds this very invoice, but not from teamogy-ksef: KSeF number %s has the same content apart from the time of rendering, and its bytes were never sent for this document. Somebody else has issued it (%s)",
		status.OriginalKSeFNumber, saying(status))
}

type originalInvoice struct {
	sha256    string
	acquired  time.Time
	mode      string
	reference string
	upo       ksef.SecretURL // of its session's list
	xml       []byte         // if it had to be downloaded
}

// originalOnce is original, which is not asked again too soon about one that is
// not visible: each look costs metadata queries and downloads that receiving
// lives on.
func (s *Session) originalOnce(ctx context.Context, seen *sessionLists, connection string, status *ksef.InvoiceStatus) (originalInvoice, error) {
	key := "original " + connection + " " + status.OriginalKSeFNumber
	if wait := s.vain.wait(key, s.Now()); wait > 0 {
		p := notListedYet(status)
		p.After = wait
		return originalInvoice{}, p
	}
	original, err := s.original(ctx, seen, status)
	if err != nil && classify(err).Type == flow.ErrKSeFNotYet {
		p := notListedYet(status)
		p.After = s.vain.vain(key, s.Now(), s.scaleOf(ctx, connection))
		return original, p
	}
	if err == nil {
		s.vain.forget(key)
	}
	return original, err
}

func notListedYet(status *ksef.InvoiceStatus) *problem {
	if status.OriginalKSeFNumber == "" {
		return newProblem(flow.ErrKSeFNotYet, "KSeF calls the invoice a duplicate but does not name the original")
	}
	return newProblem(flow.ErrKSeFNotYet, "KSeF calls the invoice a duplicate of %s, which it does not show yet", status.OriginalKSeFNumber)
}

// original reads the hash of the invoice that a duplicate answer names: from
// its session's list if that is ours, which costs no metadata query, else from
// the metadata as the seller sees them, else from its own bytes. A session
// that is not ours, or not the right one, as KSeF is known to name, is passed
// over, and so is a hash that cannot be read: it would look like other content.
func (s *Session) original(ctx context.Context, seen *sessionLists, status *ksef.InvoiceStatus) (originalInvoice, error) {
	number, err := ksef.ParseNumber(status.OriginalKSeFNumber)
	if status.OriginalKSeFNumber == "" {
		return originalInvoice{}, notListedYet(status)
	}
	if err != nil {
		return originalInvoice{}, fmt.Errorf("the original of a duplicate: %w", err)
	}
	if status.OriginalSessionReference != "" {
		list, err := seen.shown(ctx, status.OriginalSessionReference)
		if err != nil {
			return originalInvoice{}, err
		}
		for sha256, o := range list {
			if o.KSeFNumber == status.OriginalKSeFNumber {
				return originalInvoice{sha256: sha256, acquired: o.AcquisitionDate, mode: o.InvoicingMode, reference: o.Reference, upo: o.UPODownloadURL}, nil
			}
		}
	}
	client, from := seen.client, number.AcceptedOn().AddDate(0, 0, -1)
	page, err := client.QueryMetadata(ksef.Spare(ctx), ksef.MetadataQuery{
		SubjectType: ksef.SubjectSeller, DateType: ksef.DatePermanentStorage, From: from, To: from.AddDate(0, 0, 90),
		KSeFNumber: status.OriginalKSeFNumber, PageSize: 10,
	})
	if err != nil {
		return originalInvoice{}, err
	}
	for _, m := range page.Invoices {
		if sha256 := hexHash(m.InvoiceHash); sha256 != "" && m.KSeFNumber == status.OriginalKSeFNumber {
			return originalInvoice{sha256: sha256, acquired: m.AcquisitionDate, mode: m.InvoicingMode}, nil
		}
	}
	xml, err := client.DownloadInvoice(ksef.Spare(ctx), status.OriginalKSeFNumber, "")
	if failure, is := ksef.AsError(err); is && (failure.Kind == ksef.KindNotYet || failure.Has(ksef.CodeInvoiceNotFound)) {
		return originalInvoice{}, notListedYet(status)
	}
	if err != nil {
		return originalInvoice{}, err
	}
	return originalInvoice{sha256: hashHex(xml), xml: xml}, nil
}

// notOurs tells whether a session's list is refused in a way that will not
// pass: it belongs to somebody else, does not exist or is forgotten.
func notOurs(err error) bool {
	failure, is := ksef.AsError(err)
	return is && (failure.Kind == ksef.KindRejected || failure.Kind == ksef.KindGone ||
		failure.Kind == ksef.KindForbidden && failure.ReasonCode != "security-service-blocked")
}
