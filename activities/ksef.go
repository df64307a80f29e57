package activities

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/connection"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/invoice"
	"teamogy-ksef/internal/ksef"
)

// certificateWarning is how many days before its end a certificate is warned
// about: a new one may be requested a month ahead.
const certificateWarning = 30

// Authenticate is the visible preflight of a receiving cycle: it logs in, sees
// that the permissions are there, counts the certificate's days, and brings
// the settings and limits of the cycle.
func (k *KSeF) Authenticate(ctx context.Context, in flow.ConnectionInput) (out flow.Authenticated, err error) {
	defer k.failed(ctx, in.Connection, &err)
	client, c, err := k.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	out = flow.Authenticated{Environment: c.KSeFEnvironment, NIP: c.NIP, Settings: settingsOf(c)}
	if out.Settings.Receive == connection.ReceiveOff {
		return out, archiving("release the NIP for another connection", k.Archive.ReleaseReceiver(ctx, c.KSeFEnvironment, c.NIP, c.Name))
	}
	if err := k.Archive.ClaimReceiver(ctx, c.KSeFEnvironment, c.NIP, c.Name); err != nil {
		return out, err
	}
	if _, err := client.Login(ctx); err != nil {
		return out, err
	}
	if out.Permissions, err = client.Permissions(ctx); err != nil {
		return out, err
	}
	if len(out.Permissions) > 0 && !slices.Contains(out.Permissions, ksef.PermissionInvoiceRead) {
		out.Warnings = append(out.Warnings, fmt.Sprintf("the login has %v but not %s", out.Permissions, ksef.PermissionInvoiceRead))
	}
	credentials, err := credentialsOf(c, k.Now())
	if err != nil {
		return out, err
	}
	out.CertificateDaysLeft = credentials.DaysLeft(k.Now())
	if out.CertificateDaysLeft <= certificateWarning {
		out.Warnings = append(out.Warnings, fmt.Sprintf("the KSeF certificate ends in %d days: request a new one and put it in place", out.CertificateDaysLeft))
	}
	limits, err := client.RateLimits(ctx)
	if err != nil {
		return out, err
	}
	out.Limits, out.Blocked = limitsOf(limits, k.senders(c)), k.blocksOf(ctx, client)
	for _, w := range out.Warnings {
		k.Logger.WarnContext(ctx, w, "connection", in.Connection)
	}
	return out, nil
}

// ReadPace reads the limits by which sessions are paced.
func (k *KSeF) ReadPace(ctx context.Context, in flow.ConnectionInput) (out flow.Pace, err error) {
	defer k.failed(ctx, in.Connection, &err)
	client, c, err := k.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	limits, err := client.RateLimits(ctx)
	if err != nil {
		return out, err
	}
	return flow.Pace{
		TimeScale: c.TimeScale, OneByOne: c.OneByOne, Limits: limitsOf(limits, k.senders(c)), Blocked: k.blocksOf(ctx, client),
	}, nil
}

// metadataPage is how many records one metadata query brings: KSeF's largest.
const metadataPage = 250

// foundInvoice is an item of the list that FindReceived keeps in the archive.
type foundInvoice = ksef.Metadata

// archiveReaders is how many records are read at once.
const archiveReaders = 8

// FindReceived asks KSeF once for the invoices of a window, in the order in
// which KSeF stored them, and keeps the answer as a list in the archive.
func (k *KSeF) FindReceived(ctx context.Context, in flow.Window) (out flow.Found, err error) {
	defer k.failed(ctx, in.Connection, &err)
	client, _, err := k.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	page, err := client.QueryMetadata(ctx, ksef.MetadataQuery{
		SubjectType: in.Subject, DateType: ksef.DatePermanentStorage,
		From: in.From, To: in.To, RestrictToHWM: true,
		PageOffset: in.PageOffset, PageSize: metadataPage,
	})
	if err != nil {
		return out, err
	}
	out = flow.Found{HasMore: page.HasMore, Truncated: page.Truncated, HWM: page.HWM}
	if len(page.Invoices) == 0 {
		return out, nil
	}
	out.LastDate = page.Invoices[len(page.Invoices)-1].PermanentStorageDate
	list, err := k.Archive.PutList(ctx, page.Invoices, len(page.Invoices))
	if err != nil {
		return out, archiving("keep the list of found invoices", err)
	}
	out.List = flow.ListRef(list)
	out.Known = len(page.Invoices) - len(k.unknownOf(ctx, in.Connection, page.Invoices))
	return out, ctx.Err()
}

// unknownOf leaves out the invoices that have their document. One whose record
// cannot be read counts as unknown: whoever starts its import will find out.
func (k *KSeF) unknownOf(ctx context.Context, connection string, list []foundInvoice) (unknown []foundInvoice) {
	done := make([]bool, len(list))
	var readers errgroup.Group
	readers.SetLimit(archiveReaders)
	for i := range list {
		readers.Go(func() error {
			record, err := k.receivedRecord(ctx, connection, list[i].KSeFNumber)
			done[i] = err == nil && record.Created != nil
			return nil
		})
	}
	_ = readers.Wait() // they have no errors
	for i, m := range list {
		if !done[i] {
			unknown = append(unknown, m)
		}
	}
	return unknown
}

// FetchInvoiceXML brings a received invoice's exact bytes into the archive:
// from there if they are there already, else from KSeF. Its hash is checked.
func (k *KSeF) FetchInvoiceXML(ctx context.Context, in flow.ImportInput) (out flow.FetchedInvoice, err error) {
	defer k.failed(ctx, in.Connection, &err)
	number, err := ksef.ParseNumber(in.KSeFNumber)
	if err != nil {
		return out, newProblem(flow.ErrBadInput, "%q is not a KSeF number: %v", in.KSeFNumber, err)
	}
	client, c, err := k.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	record, err := k.receivedRecord(ctx, in.Connection, in.KSeFNumber)
	if err != nil {
		return out, archiving("read the record of "+in.KSeFNumber, err)
	}
	xml, ref, err := k.received(ctx, client, in, record)
	if failure, is := ksef.AsError(err); is && failure.Has(ksef.CodeInvoiceNotFound) && (record.Metadata != nil || in.SHA256 != "") {
		// KSeF has listed it, so it is there: only a number typed by hand can be wrong.
		return out, newProblem(flow.ErrKSeFNotYet, "KSeF has listed the invoice %s but does not give it out: %v", in.KSeFNumber, err)
	}
	if err != nil {
		return out, err
	}
	out.Document = flow.Ref(ref)
	document, unreadable := invoice.Read(xml)
	if unreadable != nil && record.Metadata == nil {
		if record.Metadata, err = k.askMetadata(ctx, client, in, number); err != nil {
			return out, err
		}
	}
	describeFetched(&out, document, unreadable == nil, record.Metadata)

	key := receivedKey(c.Name, in.KSeFNumber)
	fact := fetchedFact{SHA256: ref.SHA256, Size: ref.Size, Number: out.Number, Seller: out.SellerNIP}
	if err := k.note(ctx, key, factFetched, short(ref.SHA256), fact); err != nil {
		return out, archiving("record what was fetched", err)
	}
	return out, archiving("index "+in.KSeFNumber, k.indexReceived(ctx, c.Name, number))
}

// received gives the invoice's bytes and keeps them. If they are in the archive,
// also by an export package, no call is made: the hash that KSeF has told of the
// invoice finds them.
func (k *KSeF) received(ctx context.Context, client KSeFClient, in flow.ImportInput, record *receivedRecord) ([]byte, archive.Ref, error) {
	if record.Fetched != nil {
		if xml, err := k.Archive.Document(ctx, record.Fetched.SHA256); err == nil {
			return xml, archive.Ref{SHA256: record.Fetched.SHA256, Size: int64(len(xml))}, nil
		} else if !errors.Is(err, archive.ErrNotFound) {
			return nil, archive.Ref{}, archiving("read the XML of "+in.KSeFNumber, err)
		}
	}
	want := ""
	if record.Metadata != nil {
		want = record.Metadata.InvoiceHash
	} else if raw, err := hex.DecodeString(in.SHA256); err == nil && len(raw) > 0 {
		want = base64.StdEncoding.EncodeToString(raw)
	}
	if hash := hexHash(want); len(hash) == sha256Hex {
		xml, err := k.Archive.Document(ctx, hash)
		if err == nil {
			return xml, archive.Ref{SHA256: hash, Size: int64(len(xml))}, nil
		} else if !errors.Is(err, archive.ErrNotFound) {
			return nil, archive.Ref{}, archiving("read the XML of "+in.KSeFNumber, err)
		}
	}
	xml, err := client.DownloadInvoice(ctx, in.KSeFNumber, want)
	if err != nil {
		return nil, archive.Ref{}, err
	}
	ref, err := k.Archive.PutDocument(ctx, xml)
	return xml, ref, archiving("keep the XML of "+in.KSeFNumber, err)
}

// sha256Hex is the length of a SHA-256 in hexadecimal.
const sha256Hex = 64

// askMetadata asks KSeF for one invoice's metadata, which stands in for what
// cannot be read in its XML. The number's date tells where to look.
func (k *KSeF) askMetadata(ctx context.Context, client KSeFClient, in flow.ImportInput, number ksef.Number) (*ksef.Metadata, error) {
	subject := in.Subject
	if subject == "" {
		subject = ksef.SubjectBuyer
	}
	from := number.AcceptedOn().AddDate(0, 0, -1)
	page, err := client.QueryMetadata(ksef.Spare(ctx), ksef.MetadataQuery{
		SubjectType: subject, DateType: ksef.DatePermanentStorage, From: from, To: from.AddDate(0, 0, 90),
		KSeFNumber: in.KSeFNumber, PageSize: 10,
	})
	if err != nil {
		return nil, err
	}
	for i := range page.Invoices {
		if page.Invoices[i].KSeFNumber == in.KSeFNumber {
			m := &page.Invoices[i]
			return m, archiving("record the metadata of "+in.KSeFNumber,
				k.note(ctx, receivedKey(in.Connection, in.KSeFNumber), factFound, "metadata", m))
		}
	}
	return nil, nil
}

func describeFetched(out *flow.FetchedInvoice, d invoice.Document, readable bool, m *ksef.Metadata) {
	out.Readable = readable
	if readable {
		out.Number, out.SellerNIP, out.SellerName = d.Number, d.Seller.NIP, d.Seller.Name
		out.Gross, out.Currency = d.Gross.StringFixed(2), d.Currency
	}
	if m == nil {
		return
	}
	if out.SellerNIP == "" {
		out.SellerNIP, out.SellerName = m.SellerNIP, m.SellerName
	}
	if out.Number == "" {
		out.Number = m.InvoiceNumber
	}
	if !readable {
		out.Gross, out.Currency = m.Gross.StringFixed(2), m.Currency
	}
}

// ValidateInvoice checks an issued invoice against every rule that can be
// checked without KSeF. It makes no call.
func (k *KSeF) ValidateInvoice(ctx context.Context, in flow.ValidateInput) (out flow.Validated, err error) {
	defer k.failed(ctx, in.Connection, &err)
	client, c, err := k.Connections.KSeF(ctx, in.Connection) // with the check of the binding
	if err != nil {
		return out, err
	}
	xml, err := k.Archive.Document(ctx, in.Document.SHA256)
	if err != nil {
		return out, archiving("read the invoice's XML", err)
	}
	document, err := invoice.CheckForSending(xml, invoice.Check{SellerNIP: c.NIP, Today: k.today(), AllowAttachment: true})
	if k.datedTomorrow(xml, err) {
		// Perhaps only by our clock: KSeF's decides, and every answer tells it.
		if _, err := client.RateLimits(ctx); err != nil {
			return out, err
		}
		document, err = invoice.CheckForSending(xml, invoice.Check{SellerNIP: c.NIP, Today: dayInWarsaw(client.ServerTime()), AllowAttachment: true})
	}
	if err != nil {
		return out, err
	}
	return flow.Validated{
		Form: document.Form.SystemCode + " " + document.Form.SchemaVersion, TimeScale: c.TimeScale, Attachment: document.HasAttachment,
	}, nil
}

// datedTomorrow tells whether an invoice was found to be dated in the future, by
// a day: a clock that is some minutes behind would find that after midnight.
func (k *KSeF) datedTomorrow(xml []byte, found error) bool {
	var problems *invoice.Problems
	if !errors.As(found, &problems) || !problems.Has(invoice.RuleIssueDateFuture) {
		return false
	}
	document, err := invoice.Read(xml)
	return err == nil && document.IssueDate.Equal(k.today().AddDate(0, 0, 1))
}

// FetchUPO brings KSeF's confirmation of an accepted invoice into the archive.
// An adopted invoice whose session is somebody else's has none that we may
// read: that is said, and is no error.
func (k *KSeF) FetchUPO(ctx context.Context, in flow.RecordNumberInput) (out flow.UPO, err error) {
	defer k.failed(ctx, in.Connection, &err)
	client, _, err := k.Connections.KSeF(ctx, in.Connection)
	if err != nil {
		return out, err
	}
	record, err := k.sentRecord(ctx, in.Connection, in.DocumentID)
	if err != nil {
		return out, archiving("read the record", err)
	}
	if record.UPO != nil {
		return flow.UPO{Document: *record.UPO, Available: true}, nil
	}
	if in.Answer.SessionReference == "" {
		return flow.UPO{Reason: "KSeF does not tell in which session the invoice was accepted"}, nil
	}
	upo, err := k.upo(ctx, client, in.Answer, record.UPOLink)
	if failure, is := ksef.AsError(err); is {
		switch {
		case in.Answer.Adopted && outOfReach(failure, triesOf(ctx)):
			return flow.UPO{Reason: "the invoice was accepted in a session that this login may not read"}, nil
		case failure.Kind == ksef.KindRejected && !failure.Has(ksef.CodeNoUPO) && triesOf(ctx) >= noUPOAfter:
			// A reference that a person has typed may be wrong.
			return flow.UPO{Reason: fmt.Sprintf("KSeF finds no confirmation under these references: %v", failure)}, nil
		}
	}
	if err != nil {
		return out, err
	}
	ref, err := k.Archive.PutDocument(ctx, upo)
	if err != nil {
		return out, archiving("keep the UPO", err)
	}
	// The well-known place may hold an earlier copy: each download is signed
	// anew, and the first one stays.
	if err := k.Archive.PutNamed(ctx, upoKey(in.Answer.KSeFNumber), upo); err != nil && !errors.Is(err, archive.ErrExists) {
		return out, archiving("keep the UPO", err)
	}
	if err := k.note(ctx, sentKey(in.Connection, in.DocumentID), factUPO, "upo", flow.Ref(ref)); err != nil {
		return out, archiving("record the UPO", err)
	}
	return flow.UPO{Document: flow.Ref(ref), Available: true}, nil
}

// noUPOAfter is after how many attempts a UPO that KSeF does not find is taken
// for one that will not come.
const noUPOAfter = 10

// outOfReach tells whether an adopted invoice's UPO cannot be had: its session
// is somebody else's, or forgotten.
func outOfReach(e *ksef.Error, attempt int) bool {
	switch {
	case e.Kind == ksef.KindForbidden, e.Kind == ksef.KindGone, e.Has(ksef.CodeSessionNotFound):
		return true
	case e.Has(ksef.CodeNoUPO):
		return attempt >= noUPOAfter
	}
	return false
}

// upo downloads a confirmation: by the link that came with KSeF's answer, which
// costs no quota, else by that of a fresh status answer, which never leaves this
// function, else by the endpoint.
func (k *KSeF) upo(ctx context.Context, client KSeFClient, answer flow.Transmitted, link ksef.SecretURL) ([]byte, error) {
	if link != "" {
		upo, err := client.UPOByLink(ctx, link)
		if err == nil {
			return upo, nil
		}
		k.Logger.DebugContext(ctx, "the link to a confirmation does not lead to it; KSeF is asked", "ksefNumber", answer.KSeFNumber, "error", err)
	}
	if answer.InvoiceReference == "" {
		return client.InvoiceUPOByNumber(ctx, answer.SessionReference, answer.KSeFNumber)
	}
	status, err := client.InvoiceStatus(ctx, answer.SessionReference, answer.InvoiceReference)
	if err != nil {
		return nil, err
	}
	if status.UPODownloadURL != "" {
		if upo, err := client.UPOByLink(ctx, status.UPODownloadURL); err == nil {
			return upo, nil
		}
	}
	return client.InvoiceUPO(ctx, answer.SessionReference, answer.InvoiceReference)
}

// upoKey is where an invoice's confirmation stands in the archive. It is known
// before the confirmation is there, so that one PATCH can name it.
func upoKey(ksefNumber string) string { return "upo/" + ksefNumber + ".xml" }

// credentialsOf reads a connection's certificate and key.
func credentialsOf(c *connection.Connection, now time.Time) (ksef.Credentials, error) {
	return ksef.LoadCredentials(c.Certificate, c.PrivateKey, c.PrivateKeyPassword.Reveal(), now)
}
