package archive

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// QuotaEntry is one thing that is known of a counter of somebody else's request quota: a call that was made at a
// time, or a block until a time. It lies at quota/<holder>/<counter>/<time>-<kind>-<mark> for as long as it matters.
// All that it says is in its key, so that one listing reads a counter.
type QuotaEntry struct {
	At   time.Time // to the microsecond
	Kind string    // small letters
	Mark string    // tells entries of the same time apart; NoteQuota makes it
}

// quotaTime is how a time stands in a key: in UTC, and sorted as text.
const quotaTime = "20060102T150405.000000Z"

var quotaKind = regexp.MustCompile(`^[a-z]+$`)

// NoteQuota adds an entry to a holder's counter.
func (a *Archive) NoteQuota(ctx context.Context, holder, counter string, e QuotaEntry) (QuotaEntry, error) {
	if holder == "" || counter == "" || !quotaKind.MatchString(e.Kind) {
		return QuotaEntry{}, fmt.Errorf("quota: %q of %q, %q is no entry of a counter", e.Kind, counter, holder)
	}
	var random [6]byte
	rand.Read(random[:])
	e.At, e.Mark = e.At.UTC().Truncate(time.Microsecond), hex.EncodeToString(random[:])
	return e, a.store.Create(ctx, quotaKey(holder, counter, e), []byte("\n"))
}

// Quota lists the entries of a holder's counter by their time. What lies there and is no entry is left out.
func (a *Archive) Quota(ctx context.Context, holder, counter string) ([]QuotaEntry, error) {
	folder := quotaFolder(holder, counter)
	keys, err := a.store.List(ctx, folder)
	if err != nil {
		return nil, err
	}
	var entries []QuotaEntry
	for _, key := range keys {
		part := strings.Split(strings.TrimPrefix(key, folder), "-")
		if len(part) != 3 {
			continue
		}
		if at, err := time.Parse(quotaTime, part[0]); err == nil {
			entries = append(entries, QuotaEntry{At: at, Kind: part[1], Mark: part[2]})
		}
	}
	return entries, nil
}

// ForgetQuota removes an entry; one that is not there is no error.
func (a *Archive) ForgetQuota(ctx context.Context, holder, counter string, e QuotaEntry) error {
	return a.store.Delete(ctx, quotaKey(holder, counter, e))
}

func quotaFolder(holder, counter string) string {
	return "quota/" + escape(holder) + "/" + escape(counter) + "/"
}

func quotaKey(holder, counter string, e QuotaEntry) string {
	return quotaFolder(holder, counter) + e.At.UTC().Format(quotaTime) + "-" + e.Kind + "-" + e.Mark
}
