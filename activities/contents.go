package activities

import (
	"context"
	"errors"
	"slices"

	"teamogy-ksef/internal/archive"
	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/invoice"
)

// alike gives the hashes that a record knows of one document, other than
// sha256, whose bytes are the same invoice: Teamogy may render an XML anew
// whenever it is read, with nothing but another time in it. Bytes that are not
// in the archive are alike to none.
func (b *base) alike(ctx context.Context, record *sentRecord, sha256 string) ([]string, error) {
	var xml []byte
	var alike []string
	for _, other := range record.hashes() {
		if other == sha256 {
			continue
		}
		if xml == nil {
			var err error
			if xml, err = b.Archive.Document(ctx, sha256); errors.Is(err, archive.ErrNotFound) {
				return nil, nil
			} else if err != nil {
				return nil, archiving("read the invoice's XML", err)
			}
		}
		same, err := b.sameAsKept(ctx, xml, other)
		if err != nil {
			return nil, err
		}
		if same {
			alike = append(alike, other)
		}
	}
	return alike, nil
}

// sameAsKept tells whether an XML is the same invoice, apart from its
// rendering time, as the one that the archive keeps under a hash.
func (b *base) sameAsKept(ctx context.Context, xml []byte, sha256 string) (bool, error) {
	if hashHex(xml) == sha256 {
		return true, nil
	}
	if sha256 == "" {
		return false, nil
	}
	kept, err := b.Archive.Document(ctx, sha256)
	if errors.Is(err, archive.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, archiving("read an earlier XML of the invoice", err)
	}
	return invoice.SameApartFromRenderingTime(xml, kept), nil
}

// known is what the record knows about a hand-over, whatever time its XML was
// rendered at.
func (b *base) known(ctx context.Context, record *sentRecord, item flow.HandOver) (outcome, []string, error) {
	alike, err := b.alike(ctx, record, item.SHA256)
	if err != nil {
		return outcome{}, nil, err
	}
	return record.outcomeOf(item.SHA256, item.RunID, alike...), alike, nil
}

// hashes are the contents that the record knows to have been handed over, each
// once.
func (r *sentRecord) hashes() []string {
	var hashes []string
	add := func(sha256 string) {
		if sha256 != "" && !slices.Contains(hashes, sha256) {
			hashes = append(hashes, sha256)
		}
	}
	for i := range r.Submissions {
		add(r.Submissions[i].SHA256)
	}
	if r.Accepted != nil {
		add(r.Accepted.SHA256)
	}
	return hashes
}

// refusedAlike tells whether the record knows that this content was rejected or
// withdrawn, whatever time the XML was rendered at; see refused.
func (b *base) refusedAlike(ctx context.Context, record *sentRecord, xml []byte) (bool, error) {
	today := b.today()
	if record.refused(hashHex(xml), today) {
		return true, nil
	}
	var tried []string
	var hashes []string
	for i := range record.Ends {
		hashes = append(hashes, record.Ends[i].SHA256)
	}
	for _, w := range record.Withdrawn {
		hashes = append(hashes, w.SHA256)
	}
	for _, sha256 := range hashes {
		if slices.Contains(tried, sha256) || !record.refused(sha256, today) {
			continue
		}
		tried = append(tried, sha256)
		if same, err := b.sameAsKept(ctx, xml, sha256); same || err != nil {
			return same, err
		}
	}
	return false, nil
}
