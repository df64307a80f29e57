package flow

import "time"

// ExportOrder asks for an export package of the invoices of a window.
type ExportOrder struct {
	Window
	// OnlyMetadata asks for the list of the invoices without their XML.
	OnlyMetadata bool `json:"onlyMetadata,omitempty"`
	// GrossFrom and GrossTo bound the gross amount, both inclusive, as decimal
	// numbers; empty: no bound.
	GrossFrom string `json:"grossFrom,omitempty"`
	GrossTo   string `json:"grossTo,omitempty"`
}

// OrderedExport is an export that KSeF has accepted to make, or why not.
type OrderedExport struct {
	Reference string `json:"reference,omitempty"`
	Salt      string `json:"salt,omitempty"` // of the package's key; no secret
	// Attempts counts the requests: each one took its share of the quota, also one
	// whose answer was lost.
	Attempts   int  `json:"attempts"`
	NothingNew bool `json:"nothingNew,omitempty"` // KSeF is not that far yet (21183)
	Busy       bool `json:"busy,omitempty"`       // ten exports run already (21182)
}

// CollectInput asks to bring an ordered package into the archive.
type CollectInput struct {
	Connection   string `json:"connection"`
	Reference    string `json:"reference"`
	Salt         string `json:"salt"`
	OnlyMetadata bool   `json:"onlyMetadata,omitempty"`
	// Patience is how much longer KSeF may take to make it, in real time.
	Patience time.Duration `json:"patience"`
}

// What came of an export.
const (
	ExportReady   = "ready"   // its invoices are in the archive
	ExportNothing = "nothing" // KSeF is not that far yet (420)
	ExportRunning = "running" // KSeF is still making it
	ExportFailed  = "failed"  // KSeF did not make it, or has thrown it away
	ExportDamaged = "damaged" // what KSeF delivered cannot be used
	// ExportUndelivered is of a package that KSeF has made, but that could not be
	// downloaded in many attempts.
	ExportUndelivered = "undelivered"
)

// CollectedExport is what came of an export.
type CollectedExport struct {
	Outcome string        `json:"outcome"`
	Reason  string        `json:"reason,omitempty"` // in words, where it is not ready
	Found   CollectedList `json:"found,omitzero"`
}

// CollectedList is a package's list of invoices: what a metadata query would
// have found. Of a package with OnlyMetadata it holds those alone that have no
// document yet.
type CollectedList struct {
	Found
	// Apart are invoices of the package's list whose XML is not in the package, or
	// is not what the list says.
	Apart ListRef `json:"apart,omitzero"`
	// Invoices is how many the package's list names.
	Invoices int `json:"invoices,omitempty"`
	// Median is the gross amount in the middle, of a package that was cut off.
	Median string `json:"median,omitempty"`
	// UpToMedian is how many of them have that amount or less.
	UpToMedian int   `json:"upToMedian,omitempty"`
	Bytes      int64 `json:"bytes,omitempty"` // of the package
}
