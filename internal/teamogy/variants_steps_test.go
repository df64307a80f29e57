package teamogy_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"teamogy-ksef/internal/teamogy"
)

// step is one thing that the product does. Its error says that it did not work; what may never happen fails the test.
type step struct {
	name string
	run  func(*bed) error
}

// The steps, in their order. Each is on documents of its own, so that one may fail and the next one work.
var steps = []step{
	{"find a company", (*bed).findCompany},
	{"find no company", (*bed).findNoCompany},
	{"receive an invoice", (*bed).receiveOne},
	{"receive without a company", (*bed).receiveWithoutCompany},
	{"receive with the answer lost", (*bed).receiveLost},
	{"receive with answer and memory lost", (*bed).receiveCrashed},
	{"list ready invoices", (*bed).listReady},
	{"read XML in a property", (*bed).readProperty},
	{"read XML in an attachment", (*bed).readAttachment},
	{"read XML from the list", (*bed).readShown},
	{"write back", (*bed).writeBack},
	{"write back in one request", (*bed).writeOnce},
	{"write to an accepted invoice", (*bed).writeToAccepted},
	{"write to a deleted invoice", (*bed).writeToDeleted},
	{"be refused a status", (*bed).refusedStatus},
	{"be refused by the key", (*bed).refusedKey},
	{"be refused a right", (*bed).refusedRight},
}

func (b *bed) findCompany() error { return b.company(knownNIP, b.alfa) }

func (b *bed) findNoCompany() error {
	return errors.Join(b.company(unknownNIP, 0), b.company(disabledNIP, 0))
}

// company looks a NIP up; another company than the right one is never found.
func (b *bed) company(nip string, want int64) error {
	var match teamogy.CompanyMatch
	err := b.again(func() (err error) {
		match, err = b.client.FindCompanyByNIP(b.t.Context(), nip)
		return err
	})
	if err != nil {
		return err
	}
	if match.Found && match.ID != want {
		b.t.Errorf("the wrong company %d was found for NIP %s", match.ID, nip)
	}
	if match.ID != want || match.Ambiguous {
		return fmt.Errorf("NIP %s: got %+v, want %d", nip, match, want)
	}
	return nil
}

func (b *bed) receiveOne() error { return b.receive(number(1001), "VAT", b.alfa, "") }

func (b *bed) receiveWithoutCompany() error {
	return b.receive(number(1002), "VAT", b.fallback, "")
}

func (b *bed) receiveLost() error {
	return b.receive(number(1003), "KOR", b.alfa, "same client")
}

func (b *bed) receiveCrashed() error {
	return b.receive(number(1004), "VAT", b.alfa, "new client")
}

// receive makes a received invoice as activities.CreateReceivedInvoice does: it looks before each create, and after a
// crash it recalls what its record says. Afterwards there is exactly one, or, where it failed, at most one.
func (b *bed) receive(ksefNumber, kind string, company int64, lost string) error {
	ctx, client := b.t.Context(), b.client
	if lost != "" {
		b.control(http.MethodPost, "faults", fields{"operation": "POST /documents", "name": "answer-dropped"}, nil)
		defer b.control(http.MethodDelete, "faults", nil, nil)
	}
	var creating time.Time
	var above int64
	var created teamogy.Document
	err := b.again(func() error {
		if lost == "new client" && !creating.IsZero() {
			client = b.fresh(nil)
			client.RecallDoubt(ksefNumber, creating, above)
		}
		found, existed, err := client.FindDocumentByKSeFNumber(ctx, ksefNumber)
		if err != nil || existed {
			created = found
			return err
		}
		creating, above = b.clock.now(), client.HighestID()
		b.breathe()
		created, err = client.CreatePurchaseInvoice(ctx, teamogy.NewPurchaseInvoice{
			Kind: kind, OwnerID: 1, CompanyID: company, Status: "IMPORTED", Tags: []string{"check"}, KSeFNumber: ksefNumber,
			InvoiceNumber: "FV/7", SellerNIP: knownNIP, Currency: "PLN", IssueDate: creating,
		})
		return err
	})
	made := b.with(ksefNumber)
	if len(made) > 1 {
		b.t.Errorf("invoice %s was created %d times", ksefNumber, len(made))
	}
	for _, d := range made {
		if d.CompanyID != company {
			b.t.Errorf("document %d has the company %d, not %d", d.ID, d.CompanyID, company)
		}
	}
	switch {
	case err != nil:
		return err
	case len(made) == 0 || made[0].ID != created.ID:
		return fmt.Errorf("document %d was to be made, Teamogy has %v", created.ID, made)
	}
	var found teamogy.Document
	var exists bool
	err = b.again(func() (err error) {
		found, exists, err = b.client.FindDocumentByKSeFNumber(ctx, ksefNumber)
		return err
	})
	if err == nil && (!exists || found.ID != created.ID) {
		err = fmt.Errorf("document %d is not found again", created.ID)
	}
	return err
}

func (b *bed) listReady() error {
	var ids []int64
	err := b.again(func() error {
		ids = nil
		_, err := b.client.ListReadySalesInvoices(b.t.Context(), []string{"INVOICE.SALES", "INVOICE.SALES.CORRECTION"}, "READY.FOR.KSEF",
			func(some []teamogy.ReadyInvoice) bool {
				for _, r := range some {
					ids = append(ids, r.ID)
				}
				return true
			})
		slices.Sort(ids) // the view's order is not known
		return err
	})
	if want := []int64{b.ready, b.attached}; err == nil && !slices.Equal(ids, want) {
		err = fmt.Errorf("ready are %v, not %v", ids, want)
	}
	return err
}

func (b *bed) readProperty() error { return b.readXML(b.client, b.ready) }

func (b *bed) readAttachment() error {
	return b.readXML(b.fresh(func(o *teamogy.Options) { o.Fields.XMLSource = teamogy.XMLFromAttachment }), b.attached)
}

func (b *bed) readXML(client *teamogy.Client, id int64) error {
	return b.again(func() error {
		xml, _, err := client.ReadInvoiceXML(b.t.Context(), id)
		if err == nil && string(xml) != invoiceXML {
			err = fmt.Errorf("the XML was changed: %s", xml)
		}
		return err
	})
}

// readShown takes the XML from the list, or where that does not show it, from the document, as activities.StartSends and
// FetchIssuedXML do.
func (b *bed) readShown() error {
	client := b.fresh(inView)
	var shown map[int64][]byte
	err := b.again(func() (err error) {
		shown, err = client.ReadReadyXML(b.t.Context(), []int64{b.ready, b.attached, b.other}, []string{"INVOICE.SALES", "INVOICE.SALES.CORRECTION"}, "READY.FOR.KSEF")
		return err
	})
	if err != nil {
		return err
	}
	for id, xml := range shown {
		if id != b.ready || string(xml) != invoiceXML {
			b.t.Errorf("the list is said to show another XML than document %d has: %s", id, xml)
		}
	}
	if shown[b.ready] != nil {
		return nil
	}
	return b.readXML(client, b.ready)
}

// writeOnce writes numbers to documents as where PATCH is known to merge, the last one with its answer lost.
func (b *bed) writeOnce() error {
	ids, _ := b.seedReady(4, "property")
	client, f := b.fresh(merging), &firsts{begun: map[int64]int{}}
	for i, id := range ids {
		if i == len(ids)-1 {
			b.control(http.MethodPost, "faults", fields{"operation": "PATCH /documents", "name": "answer-dropped"}, nil)
			defer b.control(http.MethodDelete, "faults", nil, nil)
		}
		if err := b.again(func() error { return client.PatchSalesInvoice(b.t.Context(), id, numbered(f, id)) }); err != nil {
			return err
		}
		d := b.kept(id)
		if d.Properties["ksefXmlSize"] == nil {
			b.t.Errorf("the XML of document %d was lost", id)
		}
		if d.Properties["ksefNumber"] != number(int(id)) || d.Status != "SENT.TO.KSEF" {
			return fmt.Errorf("Teamogy has %v", d)
		}
	}
	return nil
}

// accepted is what activities.RecordKSeFNumber writes, all in one.
func accepted(n int) teamogy.SalesPatch {
	return teamogy.SalesPatch{
		Status: "SENT.TO.KSEF", KSeFNumber: number(n), KSeFStatus: "ACCEPTED", AcceptedAt: time.Date(2026, 11, 22, 9, 59, 7, 0, time.UTC),
		Mode: "online", VerificationLink: "https://qr.example/invoice/1", UPOReference: "upo/1", SessionReference: "S-1", ClearMessage: true,
	}
}

// writeBack writes the KSeF number, twice as after a lost answer, and reads it. Properties that are not ours stay.
func (b *bed) writeBack() error {
	before := b.kept(b.written)
	var err error
	for range 2 {
		if err == nil {
			err = b.again(func() error { return b.client.PatchSalesInvoice(b.t.Context(), b.written, accepted(2001)) })
		}
	}
	after := b.kept(b.written)
	var changed []string
	for key, v := range before.Properties {
		switch now, there := after.Properties[key]; {
		case !there || now == nil:
			b.t.Errorf("the property %s was lost", key)
		case inJSON(v) != inJSON(now):
			changed = append(changed, fmt.Sprintf("the property %s was %s and is %s", key, inJSON(v), inJSON(now)))
		}
	}
	slices.Sort(changed)
	switch {
	case err != nil:
		return err
	case len(changed) > 0:
		return fmt.Errorf("%v", changed)
	case after.Properties["ksefNumber"] != number(2001) || after.Status != "SENT.TO.KSEF":
		return fmt.Errorf("Teamogy has %v", after)
	}
	return b.again(func() error {
		d, err := b.client.Document(b.t.Context(), b.written)
		if err == nil && (d.KSeFNumber != number(2001) || d.Status != "SENT.TO.KSEF") {
			err = fmt.Errorf("read back: number %q, status %q", d.KSeFNumber, d.Status)
		}
		return err
	})
}

// writeToAccepted says on an issued invoice that it was changed since, as activities.RecordRejection does.
func (b *bed) writeToAccepted() error {
	return b.again(func() error {
		return b.client.PatchSalesInvoice(b.t.Context(), b.locked, teamogy.SalesPatch{KSeFNumber: number(1), Message: "Changed after KSeF accepted it."})
	})
}

// writeToDeleted must tell that the document is not there.
func (b *bed) writeToDeleted() error {
	err := b.again(func() error { return b.client.PatchSalesInvoice(b.t.Context(), 987654, accepted(2002)) })
	if e, ok := teamogy.AsError(err); ok && e.Kind == teamogy.NotFound {
		return nil
	}
	return fmt.Errorf("it is not told to be gone: %w", err)
}

// refusedStatus: the error names the status, and nothing is made.
func (b *bed) refusedStatus() error {
	err := b.again(func() error {
		if _, found, err := b.client.FindDocumentByKSeFNumber(b.t.Context(), number(1005)); err != nil || found {
			return err
		}
		b.breathe()
		_, err := b.client.CreatePurchaseInvoice(b.t.Context(), teamogy.NewPurchaseInvoice{
			Kind: "VAT", OwnerID: 1, CompanyID: b.alfa, Status: "NO.SUCH.STATUS", KSeFNumber: number(1005),
		})
		return err
	})
	if len(b.with(number(1005))) > 0 {
		b.t.Error("a document with an unknown status was made")
	}
	return saying(err, "NO.SUCH.STATUS")
}

// refusedKey: a key that may read only, and one that is wrong.
func (b *bed) refusedKey() error {
	stranger := b.fresh(func(o *teamogy.Options) { o.APIKey = "another-key" })
	err := b.again(func() error { return stranger.Ping(b.t.Context()) })
	if err := saying(err, "key"); err != nil {
		return err
	}
	return b.refusedPatch(fields{"methods": []string{"GET"}}, fields{"methods": []string{}})
}

// refusedRight: a user who may not change issued invoices, and an address that is not allowed.
func (b *bed) refusedRight() error {
	b.control(http.MethodPost, "token", fields{"ips": []string{"192.0.2.0/24"}}, nil)
	err := b.again(func() error { return b.client.Ping(b.t.Context()) })
	b.control(http.MethodPost, "token", fields{"ips": []string{}}, nil)
	if err := saying(err, "address"); err != nil {
		return err
	}
	return b.refusedPatch(fields{"rights": []string{"view-companies", "create-received"}}, fields{"rights": "all"})
}

// refusedPatch limits the key for one PATCH: a document that is there must never be reported as deleted.
func (b *bed) refusedPatch(limit, lift fields) error {
	b.control(http.MethodPost, "token", limit, nil)
	defer b.control(http.MethodPost, "token", lift, nil)
	err := b.again(func() error { return b.client.PatchSalesInvoice(b.t.Context(), b.other, accepted(2003)) })
	if e, ok := teamogy.AsError(err); ok && e.Kind == teamogy.NotFound {
		b.t.Errorf("a document that is there is reported as gone: %v", err)
	}
	return saying(err, "key")
}
