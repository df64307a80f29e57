package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"teamogy-ksef/internal/cli/simulators"
	"teamogy-ksef/internal/flow"
)

// SeedSimulators fills running simulators with so many generated invoices in
// each direction, for the company whose NIP it returns.
func SeedSimulators(ctx context.Context, s *simulators.Simulators, count int, seed int64) (nip string, err error) {
	in := generated(seed, count, count, time.Now())
	_, err = fill(ctx, simulators.NewControl(s.KSeFURL), simulators.NewControl(s.TeamogyURL), in)
	return in.us.nip, err
}

// fill puts invoices into the simulators through their control APIs and writes
// down the end that each is to reach.
func fill(ctx context.Context, ksef, teamogy *simulators.Control, in invoices) (Manifest, error) {
	receivedItems, err := fillKSeF(ctx, ksef, in)
	if err != nil {
		return nil, fmt.Errorf("fill the KSeF simulator: %w", err)
	}
	sentItems, err := fillTeamogy(ctx, teamogy, in)
	if err != nil {
		return nil, fmt.Errorf("fill the Teamogy simulator: %w", err)
	}
	return append(receivedItems, sentItems...), nil
}

// seedAtOnce bounds the invoices of one seeding request.
const seedAtOnce = 50

type ksefInvoice struct {
	XML []byte `json:"xml"`
}

type ksefSeed struct {
	BuyerNIP string        `json:"buyerNip"`
	Invoices []ksefInvoice `json:"invoices"`
}

func fillKSeF(ctx context.Context, ksef *simulators.Control, in invoices) (Manifest, error) {
	type seeded struct {
		KSeFNumber string `json:"ksefNumber"`
		SHA256     string `json:"sha256"`
	}
	post := func(body ksefSeed) ([]seeded, error) {
		var answer struct {
			Invoices []seeded `json:"invoices"`
		}
		err := ksef.Post(ctx, "seed", body, &answer)
		if err == nil && len(answer.Invoices) != len(body.Invoices) {
			err = fmt.Errorf("it took %d of %d invoices", len(answer.Invoices), len(body.Invoices))
		}
		return answer.Invoices, err
	}

	if slices.ContainsFunc(in.issued, func(i issued) bool { return i.attachment }) {
		if err := ksef.AllowAttachments(ctx, in.us.nip); err != nil {
			return nil, err
		}
	}
	var items Manifest
	for from := 0; from < len(in.received); from += seedAtOnce {
		part := in.received[from:min(from+seedAtOnce, len(in.received))]
		body := ksefSeed{BuyerNIP: in.us.nip}
		for _, r := range part {
			body.Invoices = append(body.Invoices, ksefInvoice{XML: r.xml})
		}
		answer, err := post(body)
		if err != nil {
			return nil, err
		}
		for n, r := range part {
			if answer[n].SHA256 != hash(r.xml) {
				return nil, fmt.Errorf("it holds other bytes of %s than it was given", r.number)
			}
			items = append(items, Item{
				Direction: flow.DirectionReceived, Number: r.number, Label: r.label, SHA256: hash(r.xml),
				KSeFNumber: answer[n].KSeFNumber, End: Imported, SupplierKnown: r.supplierKnown,
			})
		}
	}
	for _, s := range in.issued {
		if s.blocker == nil {
			continue
		}
		if _, err := post(ksefSeed{BuyerNIP: s.blockerBuyer, Invoices: []ksefInvoice{{XML: s.blocker}}}); err != nil {
			return nil, err
		}
	}
	return items, nil
}

type teamogyCompany struct {
	Name     string `json:"name"`
	NIP      string `json:"nip"`
	Supplier bool   `json:"supplier"`
	Client   bool   `json:"client"`
}

type teamogyDocument struct {
	Type        string `json:"type"`
	Status      string `json:"status"`
	Number      string `json:"number"`
	CompanyName string `json:"companyName"`
	XML         []byte `json:"xml"`
}

type teamogySeed struct {
	Companies []teamogyCompany  `json:"companies"`
	Documents []teamogyDocument `json:"documents"`
}

func fillTeamogy(ctx context.Context, teamogy *simulators.Control, in invoices) (Manifest, error) {
	var body teamogySeed
	there := map[string]bool{}
	for _, c := range in.suppliers {
		there[c.nip] = true
		body.Companies = append(body.Companies, teamogyCompany{Name: c.name, NIP: c.nip, Supplier: true})
	}
	for _, s := range in.issued {
		if s.buyer.nip != "" && !there[s.buyer.nip] {
			there[s.buyer.nip] = true
			body.Companies = append(body.Companies, teamogyCompany{Name: s.buyer.name, NIP: s.buyer.nip, Client: true})
		}
		body.Documents = append(body.Documents, teamogyDocument{
			Type: salesType(s.kind), Status: readyStatus, Number: s.number, CompanyName: s.buyer.name, XML: s.xml,
		})
	}
	var answer struct {
		Documents []struct {
			ID     int64  `json:"id"`
			SHA256 string `json:"sha256"`
		} `json:"documents"`
	}
	if err := teamogy.Post(ctx, "seed", body, &answer); err != nil {
		return nil, err
	}
	if len(answer.Documents) != len(in.issued) {
		return nil, fmt.Errorf("it took %d of %d documents", len(answer.Documents), len(in.issued))
	}
	var items Manifest
	for n, s := range in.issued {
		if got := answer.Documents[n]; got.SHA256 != "" && got.SHA256 != hash(s.xml) {
			return nil, fmt.Errorf("it holds other bytes of %s than it was given", s.number)
		}
		i := Item{
			Direction: flow.DirectionSent, Number: s.number, Label: s.label, SHA256: hash(s.xml),
			DocumentID: answer.Documents[n].ID, End: Accepted,
		}
		if s.rejected != "" {
			i.End, i.Reason = Rejected, s.rejected
		}
		items = append(items, i)
	}
	return items, nil
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
