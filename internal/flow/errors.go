package flow

// Class says whose move an error is.
type Class string

const (
	// Content errors are the invoice's: it fails with the reason and is not
	// sent again until it changes.
	Content Class = "content"
	// Configuration errors are the set-up's. The first one closes the gate of
	// its connection: one alert, and whoever would meet the same refusal waits
	// without any call. A probe every few minutes opens it once the cause is
	// mended, and the same workflows go on.
	Configuration Class = "configuration"
	// Transient errors pass by themselves: retried for as long as it takes.
	Transient Class = "transient"
)

// Error types, the stable names that histories and searches carry.
const (
	ErrInvoiceInvalid        = "InvoiceInvalid"
	ErrInvoiceRejected       = "InvoiceRejected"
	ErrNumberTaken           = "InvoiceNumberTaken"
	ErrAttachmentBatch       = "AttachmentNeedsBatch"
	ErrIssueDateFuture       = "IssueDateInFuture"
	ErrInvoiceMissing        = "InvoiceMissing"
	ErrNotReady              = "DocumentNotReady"
	ErrNumbered              = "DocumentHasNumber"
	ErrIssuedOtherwise       = "IssuedWithOtherContent"
	ErrInvoiceUnknown        = "InvoiceUnknown"
	ErrDocumentUnknown       = "DocumentUnknown"
	ErrBadInput              = "BadInput"
	ErrWrongAnswer           = "WrongAnswer"
	ErrConnectionUnknown     = "ConnectionUnknown"
	ErrConnectionInvalid     = "ConnectionInvalid"
	ErrBindingChanged        = "BindingChanged"
	ErrReceiverTaken         = "ReceiverTaken"
	ErrKSeFCredentials       = "KSeFCredentials"
	ErrKSeFLoginRefused      = "KSeFLoginRefused"
	ErrKSeFPermission        = "KSeFPermissionMissing"
	ErrKSeFAttachments       = "KSeFAttachmentsNotPermitted"
	ErrKSeFRefused           = "KSeFRequestRefused"
	ErrTeamogyToken          = "TeamogyTokenRefused"
	ErrTeamogyPermission     = "TeamogyPermissionMissing"
	ErrTeamogyStatus         = "TeamogyStatusUnknown"
	ErrTeamogyRefused        = "TeamogyRequestRefused"
	ErrTeamogyOutcomeUnknown = "TeamogyOutcomeUnknown"
	ErrSecretUnusable        = "SessionSecretUnusable"
	ErrArchiveDamaged        = "ArchiveDamaged"
	ErrKSeFUnavailable       = "KSeFUnavailable"
	ErrKSeFQuota             = "KSeFQuota"
	ErrKSeFNotYet            = "KSeFNotYet"
	ErrKSeFDamaged           = "KSeFAnswerDamaged"
	ErrTeamogyUnavailable    = "TeamogyUnavailable"
	ErrTeamogyQuota          = "TeamogyQuota"
	ErrTeamogyNotSaved       = "TeamogyNotSaved"
	ErrArchiveUnavailable    = "ArchiveUnavailable"
	ErrTemporalBusy          = "TemporalUnavailable"
	ErrWorkerBusy            = "WorkerBusy"
	ErrUnexpected            = "Unexpected"
)

// ErrorType is one row of the table of errors: what it means and what to do.
type ErrorType struct {
	Type    string
	Class   Class
	Meaning string
	Remedy  string
}

// ErrorTypes is the one table of error types. The documentation shows it, the
// activities build their messages from it, a test holds them together.
var ErrorTypes = []ErrorType{
	{ErrInvoiceInvalid, Content, "The issued invoice breaks a rule that can be checked before sending.", "Correct the invoice in Teamogy and mark it ready again; it was not sent to KSeF. Unchanged content is not tried again, unless a person says so (starter retry)."},
	{ErrInvoiceRejected, Content, "KSeF has rejected the issued invoice.", "Correct the invoice in Teamogy as the reason says and mark it ready again. Unchanged content is not sent again, unless a person says so (starter retry)."},
	{ErrNumberTaken, Content, "KSeF already holds another invoice of this seller with the same number and kind.", "Find out who issued the other one. If it is another invoice, give yours a new number in Teamogy and mark it ready again; if it is this very one, write its KSeF number to the document instead."},
	{ErrAttachmentBatch, Content, "The invoice carries a structured attachment (Zalacznik), which KSeF takes only in a batch session.", "Mark the document ready again: this version of teamogy-ksef sends it in a batch session. Only versions before batch sessions end with this."},
	{ErrIssueDateFuture, Content, "The invoice's date of issue (P_1) is in the future, which KSeF refuses.", "Mark the invoice ready on that day or later, or correct its date; it was not sent to KSeF."},
	{ErrInvoiceMissing, Content, "The Teamogy document is ready but has no FA(3) XML where the field map says it is.", "Have Teamogy generate the XML, or correct TEAMOGY_FIELDS_FILE; then mark the document ready again."},
	{ErrNotReady, Content, "The document was ready when it was listed, and is not any more.", "Mark it ready again if it should be sent; nothing was sent."},
	{ErrNumbered, Content, "The document carries a KSeF number already, which this program did not write.", "If the number is wrong, remove it from the document and mark it ready again; nothing was sent or changed."},
	{ErrIssuedOtherwise, Content, "The document's content is not what KSeF has accepted as this invoice.", "Restore the content that was sent, and make a corrective invoice for the change: an issued invoice is not changed otherwise."},
	{ErrInvoiceUnknown, Content, "KSeF knows no invoice with this KSeF number, or it is not visible to this company.", "Check the KSeF number and the connection, and start the workflow again."},
	{ErrDocumentUnknown, Content, "Teamogy has no document with this ID.", "Check the document ID and the connection, and start the workflow again."},
	{ErrTeamogyOutcomeUnknown, Content, "Teamogy may or may not have created the purchase invoice, and that cannot be found out by this program.", "Look in Teamogy for a purchase invoice with this KSeF number, or from this seller with this invoice number; then send the waiting workflow the update Resolve, with {\"documentId\":123} or {\"notCreated\":true}."},
	{ErrBadInput, Content, "The workflow's input is incomplete or malformed.", "Start it again with the input that the message names."},
	{ErrWrongAnswer, Content, "The answer that was delivered is about other content than was handed over.", "Do not send again. Compare the record in the archive with KSeF and report this."},
	{ErrConnectionUnknown, Configuration, "There is no settings file for this connection.", "Create the connection's file in CONNECTIONS_DIR, or terminate the workflow if the name was mistyped."},
	{ErrConnectionInvalid, Configuration, "The connection's settings file has mistakes.", "Correct the variables that the message names; the file is read again by itself."},
	{ErrBindingChanged, Configuration, "The connection's file now points to another taxpayer, KSeF environment or Teamogy.", "Restore the old values and make a new connection for the new ones."},
	{ErrReceiverTaken, Configuration, "Another connection already receives for the same NIP and KSeF environment.", "Set RECEIVE=off in one of the two."},
	{ErrKSeFCredentials, Configuration, "The KSeF certificate or private key cannot be used.", "Put a valid certificate, its key and password in place; no restart is needed."},
	{ErrKSeFLoginRefused, Configuration, "KSeF refuses the login.", "Check in KSeF that the certificate is valid and has permission for this NIP."},
	{ErrKSeFPermission, Configuration, "The KSeF login lacks a permission.", "Grant InvoiceRead and InvoiceWrite for this NIP in KSeF to the certificate's holder."},
	{ErrKSeFAttachments, Configuration, "KSeF takes no invoices with attachments from this taxpayer.", "Announce invoices with attachments in e-Urzad Skarbowy, or remove the attachment; it goes on by itself afterwards."},
	{ErrKSeFRefused, Configuration, "KSeF refuses a request of ours as malformed or not allowed.", "Look up the code in the message; if it is not the set-up, report it as a defect."},
	{ErrTeamogyToken, Configuration, "Teamogy refuses the API key.", "Put a valid API key in place, and allow this machine's IP address in Teamogy."},
	{ErrTeamogyPermission, Configuration, "The user of the Teamogy API key lacks a right.", "Give the programmatic user the rights of the set-up page: view companies, create received and edit issued invoices."},
	{ErrTeamogyStatus, Configuration, "Teamogy does not know a document status of the settings.", "Create the status in Teamogy, or correct the RECEIVE_STATUS or SEND_..._STATUS that the message names."},
	{ErrTeamogyRefused, Configuration, "Teamogy refuses a request.", "Check owner, company, process, participants and field map against the answer in the message."},
	{ErrSecretUnusable, Configuration, "The deployment's session secret cannot be read or is not the one that was used.", "Restore SESSION_SECRET_FILE; all workers need the same one."},
	{ErrArchiveDamaged, Configuration, "An object of the archive is cut short, changed or missing, so it cannot be known what happened to the invoice.", "Restore the object that the message names from a backup of the archive; nothing overwrites it, nothing is sent or created meanwhile, and it goes on by itself afterwards."},
	{ErrKSeFUnavailable, Transient, "KSeF or the way to it does not answer properly.", "Nothing: it is tried again. If it lasts for hours, look at KSeF's status page and the network."},
	{ErrKSeFQuota, Transient, "KSeF's request limit is used up for now.", "Nothing: it goes on when KSeF allows. If it happens often, see who else uses this NIP from this IP address."},
	{ErrKSeFNotYet, Transient, "KSeF has not got it ready yet.", "Nothing: it is asked again."},
	{ErrKSeFDamaged, Transient, "What KSeF delivered does not fit its checksum.", "Nothing: it is fetched again. If it lasts, look for a proxy that changes content."},
	{ErrTeamogyUnavailable, Transient, "Teamogy or the way to it does not answer properly.", "Nothing: it is tried again."},
	{ErrTeamogyQuota, Transient, "Teamogy's requests per minute are used up for now.", "Nothing: it goes on by itself. If it lasts, raise TEAMOGY_REQUESTS_PER_MINUTE to what Teamogy allows."},
	{ErrTeamogyNotSaved, Transient, "Teamogy answered well but what was read back is not what was written.", "Nothing: it is tried again. If it lasts, check the property names in the field map."},
	{ErrArchiveUnavailable, Transient, "The archive cannot be read or written.", "Check disk space and rights of ARCHIVE_URL; it is tried again."},
	{ErrTemporalBusy, Transient, "Temporal did not accept a start or an answer.", "Nothing: it is tried again."},
	{ErrWorkerBusy, Transient, "The worker has so much of this connection under way that the rest waits, so that others get on.", "Nothing: it goes on by itself. If it lasts, see why KSeF or Teamogy is slow, or start another worker."},
	{ErrUnexpected, Transient, "Something that the program does not know.", "Nothing: it is tried again. If it lasts, report the message."},
}

// formerTypes are names that error types had in earlier versions: records and
// histories of those still carry them.
var formerTypes = map[string]string{"NumberTaken": ErrNumberTaken}

// LookupError finds an error type's row, also by a name that it had earlier;
// unknown types get ErrUnexpected's.
func LookupError(errorType string) ErrorType {
	if now, renamed := formerTypes[errorType]; renamed {
		errorType = now
	}
	for _, e := range ErrorTypes {
		if e.Type == errorType {
			return e
		}
	}
	return ErrorTypes[len(ErrorTypes)-1]
}

// ErrorDetails travel with every typed error.
type ErrorDetails struct {
	Class  Class  `json:"class"`
	Remedy string `json:"remedy"`
}
