package activities

import (
	"strings"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/teamogy"
)

// The scopes of gates: what waits together because it would be refused
// together. A login or a key that is refused stops everything towards that
// system; a right that is missing stops what needs it and nothing else.
const (
	gateKSeF       = "ksef"        // logging in to KSeF
	gateKSeFRead   = "ksef-read"   // finding and downloading invoices (InvoiceRead)
	gateKSeFWrite  = "ksef-write"  // opening and filling sessions (InvoiceWrite)
	gateKSeFStatus = "ksef-status" // reading sessions and confirmations
	gateIssuing    = "issuing"     // KSeF takes the invoices and then refuses them as not ours to issue (410)
	gateTeamogy    = "teamogy"     // the API key
	gateSuppliers  = "suppliers"   // looking up companies
	gateReceive    = "receive"     // creating purchase invoices
	gateIssued     = "issued"      // listing and reading sales invoices
	gateSend       = "send"        // writing KSeF's answer to sales invoices
)

// gatesBefore are the gates that an activity has to pass beside that of its
// client, gateKSeF or gateTeamogy. An activity that is not named has only that.
var gatesBefore = map[string][]string{
	"FindReceived":          {gateKSeFRead},
	"OrderExport":           {gateKSeFRead},
	"CollectExport":         {gateKSeFRead},
	"FetchInvoiceXML":       {gateKSeFRead},
	"OpenSession":           {gateKSeFWrite},
	"SendToSession":         {gateKSeFWrite},
	"SendBatch":             {gateKSeFWrite},
	"AwaitSession":          {gateKSeFStatus},
	"CollectResults":        {gateKSeFStatus},
	"FetchUPO":              {gateKSeFStatus},
	"Transmit":              {gateIssuing},
	"FindSupplier":          {gateSuppliers},
	"CreateReceivedInvoice": {gateReceive},
	"StartSends":            {gateIssued},
	"FetchIssuedXML":        {gateIssued},
	"RecordKSeFNumber":      {gateSend},
	"RecordRejection":       {gateSend, gateIssued},
}

// Calls that a gate can be closed by, and opened by again.
const (
	callQueryMetadata  = "QueryMetadata"
	callDownload       = "DownloadInvoice"
	callOrderExport    = "OrderExport"
	callExportStatus   = "ExportStatus"
	callOpenSession    = "OpenOnlineSession"
	callSendInvoice    = "SendInvoice"
	callCloseSession   = "CloseOnlineSession"
	callOpenBatch      = "OpenBatchSession"
	callCloseBatch     = "CloseBatchSession"
	callSessionStatus  = "SessionStatus"
	callSessionList    = "SessionInvoices"
	callInvoiceStatus  = "InvoiceStatus"
	callUPO            = "InvoiceUPO"
	callUPOByNumber    = "InvoiceUPOByNumber"
	callDecision       = "KSeF's decision"
	callFindCompany    = "FindCompanyByNIP"
	callFindDocument   = "FindDocumentByKSeFNumber"
	callCreatePurchase = "CreatePrepared"
	callAdoptPurchase  = "AdoptPurchaseInvoice"
	callListReady      = "ListReadySalesInvoices"
	callReadXML        = "ReadInvoiceXML"
	callPatch          = "PatchSalesInvoice"
)

// gateOfCall is the gate that a call's refusal closes if it is neither about
// the login nor about the key.
var gateOfCall = map[string]string{
	callQueryMetadata: gateKSeFRead, callDownload: gateKSeFRead,
	callOrderExport: gateKSeFRead, callExportStatus: gateKSeFRead,
	callOpenSession: gateKSeFWrite, callSendInvoice: gateKSeFWrite, callCloseSession: gateKSeFWrite,
	callOpenBatch: gateKSeFWrite, callCloseBatch: gateKSeFWrite,
	callSessionStatus: gateKSeFStatus, callSessionList: gateKSeFStatus, callInvoiceStatus: gateKSeFStatus,
	callUPO: gateKSeFStatus, callUPOByNumber: gateKSeFStatus, callDecision: gateIssuing,
	callFindCompany: gateSuppliers, callFindDocument: gateReceive, callCreatePurchase: gateReceive,
	callListReady: gateIssued, callReadXML: gateIssued, callPatch: gateSend,
}

// permissionBehind is the permission of KSeF without which a gate cannot open.
var permissionBehind = map[string]string{gateKSeFRead: ksef.PermissionInvoiceRead, gateKSeFWrite: ksef.PermissionInvoiceWrite}

// reach is how much an error says about calls of other invoices.
type reach int

const (
	noRefusal reach = iota // it passes by itself, or is the invoice's own
	ofOne                  // perhaps the invoice's own: several in a row close the gate
	ofAll                  // the set-up's: it closes the gate
	ofKey                  // a right is missing, or Teamogy answers so to any key that it does not know
)

// refusalOf tells which gate an error of a call concerns, and how.
func refusalOf(call string, err error) (scope string, r reach) {
	scope = gateOfCall[call]
	if failure, is := ksef.AsError(err); is {
		if call == callExportStatus && failure.Kind == ksef.KindGone {
			return scope, noRefusal // forgotten: it is ordered again
		}
		return refusalOfKSeF(scope, failure)
	}
	failure, is := teamogy.AsError(err)
	if !is || scope == "" {
		return scope, noRefusal
	}
	switch failure.Kind {
	case teamogy.Unauthorized:
		return gateTeamogy, ofAll
	case teamogy.Forbidden:
		return scope, ofKey
	case teamogy.UnknownStatus:
		return scope, ofAll
	case teamogy.Invalid:
		if call == callCreatePurchase && namesTheSettings(failure.Body) {
			return scope, ofAll
		}
		return scope, ofOne
	case teamogy.NotSearchable:
		return scope, ofOne
	case teamogy.NotFound:
		if call == callReadXML || call == callPatch {
			return scope, noRefusal // the document was deleted
		}
		return scope, ofOne // a view or an entity is missing
	}
	return scope, noRefusal
}

func refusalOfKSeF(scope string, failure *ksef.Error) (string, reach) {
	switch typeOfKSeF(failure) {
	case flow.ErrKSeFLoginRefused:
		return gateKSeF, ofAll
	case flow.ErrKSeFPermission:
		switch {
		case scope == "":
			return gateKSeF, ofAll
		case failure.ReasonCode != "insufficient-resource-access":
			return scope, ofAll
		case scope == gateKSeFRead:
			return scope, ofOne
		}
	case flow.ErrKSeFRefused:
		// Sessions, their lists and their confirmations may be malformed or
		// forgotten one by one; their activities know what to do.
		if scope == gateKSeFRead {
			return scope, ofOne
		}
	}
	return scope, noRefusal
}

// namesTheSettings tells whether Teamogy's refusal of a new document speaks of
// what all documents have from the settings: RECEIVE_OWNER,
// RECEIVE_PARTICIPANTS, RECEIVE_PROCESS. Its words are not documented; if it
// meant one invoice only, the next invoice opens the gate again.
func namesTheSettings(body string) bool {
	body = strings.ToLower(body)
	for _, word := range []string{"owner", "participant", "process"} {
		if strings.Contains(body, word) {
			return true
		}
	}
	return false
}

// proves tells whether a call's outcome shows that it is not refused any more.
func proves(err error) bool {
	failure, is := teamogy.AsError(err)
	return err == nil || is && (failure.Kind == teamogy.XMLMissing || failure.Kind == teamogy.NotSaved)
}
