package ksefsim

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Codes of an export.
const (
	exportRunning   = 100
	exportDone      = 200
	exportExpired   = 210
	exportBadKey    = 415
	exportBeyondHWM = 420
)

// exportDescriptions say what an export's codes mean, in own words.
var exportDescriptions = map[int]string{
	exportRunning:   "Paczka powstaje",
	exportDone:      "Paczka jest gotowa",
	exportExpired:   "Paczki już nie ma",
	exportBadKey:    "Klucza paczki nie da się odszyfrować",
	exportBeyondHWM: "Danych z tego okresu jeszcze nie ma",
	500:             "Coś się zepsuło (500)",
	550:             "System przerwał pracę nad paczką",
}

const (
	// maxExports is how many exports of a subject in a context may run at once.
	maxExports = 10
	// packageLife is how long a package can be downloaded, and exportRetention
	// how long the status can be asked for after it changed last.
	packageLife     = 7 * 24 * time.Hour
	exportRetention = 7 * 24 * time.Hour
	// partLinkLife is how long a link to a part works.
	partLinkLife = time.Hour
	// maxPackageBytes bounds the compressed invoices of a package.
	maxPackageBytes = 1_000_000_000
)

// Types of compression, of exports and of packages.
const (
	compressionZip   = "Zip"
	compressionTarGz = "TarGz"
)

// exports are the exports that were ordered, by reference number.
type exports struct {
	byRef        map[string]*export
	packageBytes int64 // maxPackageBytes, apart from tests
	kept         *keptPackages
}

func newExports() exports {
	return exports{byRef: map[string]*export{}, packageBytes: maxPackageBytes, kept: &keptPackages{}}
}

// export is one ordered package. What it holds is settled when it is ordered;
// it is made when somebody asks for it.
type export struct {
	ref     string
	auth    *authentication // who ordered it
	created time.Time
	readyAt time.Time
	stuck   bool // stays at 100
	code    int  // at the end
	details []string
	within  queryRange

	content *exportPackage // of one that is or will be ready; needs the lock
}

// exportOperations are the endpoints of export packages.
func (s *Simulator) exportOperations() []*operation {
	return []*operation{
		{name: opExport, kinds: access, anyOf: mayRead, group: groupInvoiceExport, handle: s.orderExport},
		{name: opExportState, kinds: access, anyOf: mayRead, group: groupExportStatus, handle: s.exportStatus},
	}
}

// orderExport answers POST /invoices/exports. A key that cannot be decrypted and
// a range that begins after the high-water mark are no errors here: the export
// turns to 415 or 420 later.
func (s *Simulator) orderExport(c *call) (*reply, error) {
	var body struct {
		Encryption      *encryptionInfo `json:"encryption"`
		OnlyMetadata    bool            `json:"onlyMetadata"`
		Filters         *invoiceFilters `json:"filters"`
		CompressionType *string         `json:"compressionType"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.Encryption == nil || body.Filters == nil {
		return nil, invalid("encryption i filters są obowiązkowe.")
	}
	compression := compressionZip
	if body.CompressionType != nil {
		compression = *body.CompressionType
	}
	if compression != compressionZip && compression != compressionTarGz {
		return nil, invalid("compressionType: Zip albo TarGz.")
	}
	if err := body.Filters.check(); err != nil {
		return nil, err
	}
	hwm, _ := s.hwm(c, body.Filters)
	within, err := s.checkRange(body.Filters, c.now, hwm)
	if err != nil {
		return nil, err
	}
	if kind := c.token.auth.context.kind; !slices.Contains(exportable(kind), body.Filters.SubjectType) {
		return nil, refuse(21181, "W kontekście "+kind+" nie ma eksportu dla "+body.Filters.SubjectType+".")
	}
	key, iv, err := s.unwrap(c, body.Encryption)
	if err != nil {
		return nil, err
	}
	e := &export{
		ref: newReference(kindExport, c.now), auth: c.token.auth, created: c.now, readyAt: c.now.Add(s.cfg.ExportDelay),
		code: exportDone, within: within,
	}
	switch {
	case key == nil:
		e.code = exportBadKey
	case within.beyond:
		e.code, e.details = exportBeyondHWM, []string{"dateRange.from leży za PermanentStorageHwmDate."}
	}

	s.lock(c.now)
	defer s.mu.Unlock()
	s.sweepExports(c.now)
	if s.runningExports(c) >= maxExports {
		return nil, refuse(21182, fmt.Sprintf("Trwa już %d eksportów, więcej naraz nie można.", maxExports))
	}
	s.disturbExport(c, e)
	if e.code == exportDone && !e.stuck {
		found := s.find(c.token.auth.context.nip, body.Filters, within, c.now, false, s.cfg.QueryRecords+1)
		e.content = &exportPackage{kept: s.store.exports.kept, order: packageOrder{
			key: key, iv: iv, compression: compression, metadataOnly: body.OnlyMetadata, partBytes: s.cfg.ExportPartBytes,
			most: s.store.exports.packageBytes, mostInvoices: s.cfg.QueryRecords, records: found,
			wrongHash: len(found) > 0 && c.strike(faultPartHash) != nil, // nothing has no parts
		}}
	}
	s.store.exports.byRef[e.ref] = e
	return jsonReply(http.StatusCreated, map[string]any{"referenceNumber": e.ref})
}

// disturbExport lets the faults of exports happen to a new one.
func (s *Simulator) disturbExport(c *call, e *export) {
	if c.strike(faultExportStuck) != nil {
		e.stuck = true
	}
	if f := c.strike(faultExportFails); f != nil {
		e.code, e.details = f.Status, []string{"Na życzenie testu."}
	}
}

// exportable are the roles whose invoices a kind of context can export: a part
// of a taxpayer (InternalId) is on invoices as a third party only.
func exportable(context string) []string {
	switch context {
	case "Nip":
		return subjectTypes
	case "InternalId":
		return []string{subjectThird}
	case "NipVatUe":
		return []string{subjectSeller, subjectBuyer}
	}
	return nil
}

// runningExports counts the exports that keep the caller's slots. The lock must
// be held.
func (s *Simulator) runningExports(c *call) int {
	running := 0
	for _, e := range s.store.exports.byRef {
		if e.auth.context == c.token.auth.context && e.auth.subject == c.token.auth.subject && e.status(c.now) == exportRunning {
			running++
		}
	}
	return running
}

// exportGone says that the status of an export is not kept any more.
const exportGone = http.StatusGone

// status is the export's code at a time, or exportGone.
func (e *export) status(now time.Time) int {
	changed := e.readyAt
	code := e.code
	switch {
	case e.stuck || now.Before(e.readyAt):
		code, changed = exportRunning, e.created
	case code == exportDone && !now.Before(e.readyAt.Add(packageLife)):
		code, changed = exportExpired, e.readyAt.Add(packageLife)
	}
	if !now.Before(changed.Add(exportRetention)) {
		return exportGone
	}
	return code
}

// sweepExports forgets the packages that nobody can download any more. The lock
// must be held.
func (s *Simulator) sweepExports(now time.Time) {
	for _, e := range s.store.exports.byRef {
		if e.content == nil {
			continue
		}
		if code := e.status(now); code != exportRunning && code != exportDone {
			s.store.exports.kept.drop(e.content)
			e.content = nil
		}
	}
}
