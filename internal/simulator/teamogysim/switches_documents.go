package teamogysim

import (
	"net/http"
	"slices"
)

// DocumentSwitches are unknowns about documents and about how entities are
// read and written. The zero value is the default of each.
type DocumentSwitches struct {
	// MissingEntity is what GET of an object that is not there answers, unless
	// entities come as arrays: MissingNotFound, MissingNull or MissingEmpty.
	MissingEntity string `json:"missingEntity"`
	// SaveAnswer is what POST and PATCH answer: SaveObject, SaveRegistration,
	// SaveData, SaveID, SaveEntity or SaveEmpty.
	SaveAnswer string `json:"saveAnswer"`
	// CreateStatus answers a POST that worked: 201, 200 or 202.
	CreateStatus int `json:"createStatus"`
	// DocumentLookup is the parameter that picks a document by its number, beside
	// id: LookupNumber, LookupRegistration, LookupBoth or LookupNone.
	DocumentLookup string `json:"documentLookup"`
	// DocumentVersion is whether a document has a version: VersionNone,
	// VersionShown or VersionChecked.
	DocumentVersion string `json:"documentVersion"`
	// RefusalStatus answers a document that the tenant cannot take, for its
	// status, owner, type or company: 400, 409, 422 or 500.
	RefusalStatus int `json:"refusalStatus"`
	// UnknownFields is what becomes of a field in a body that is no field of a
	// document: FieldsRefused or FieldsIgnored.
	UnknownFields string `json:"unknownFields"`
	// CompanyRequired refuses to create a document without companyId.
	CompanyRequired bool `json:"companyRequired"`
	// AgencyOptional takes the unit of the URL where agencyId is missing.
	AgencyOptional bool `json:"agencyOptional"`
	// AbsentTypes are document types that this tenant has not configured.
	AbsentTypes []string `json:"absentTypes"`
	// Numbering is when a document without a number gets one: NumberAtOnce or
	// NumberNever.
	Numbering string `json:"numbering"`
	// NumberGiven is what becomes of a number in the body of a POST: NumberKept
	// or NumberIgnored.
	NumberGiven string `json:"numberGiven"`
	// DuplicateInvoices is what becomes of a second document with the same KSeF
	// number: DuplicatesAccepted or DuplicatesRefused (409).
	DuplicateInvoices string `json:"duplicateInvoices"`
	// AcceptedLocked refuses (409) to change an issued invoice that has its KSeF
	// number.
	AcceptedLocked bool `json:"acceptedLocked"`
	// NullProperties is what PATCH does with a property of null: NullRemoves,
	// NullKept or NullIgnored.
	NullProperties string `json:"nullProperties"`
	// PatchDepth is how deep PATCH merges, where it merges: DepthKeys or DepthAll.
	PatchDepth string `json:"patchDepth"`
	// PatchLists is what PATCH does with tags, participants and links:
	// ListsReplaced or ListsAdded.
	PatchLists string `json:"patchLists"`
	// KnownProperties are the property keys that the tenant has configured, each
	// with the type of its value: any, text, number, boolean, date, list or
	// object. A value of another type is refused. Nil means DefaultProperties.
	KnownProperties map[string]string `json:"knownProperties"`
	// UnknownProperties is what becomes of any other key: PropertiesAccepted,
	// PropertiesDropped or PropertiesRefused.
	UnknownProperties string `json:"unknownProperties"`
	// NumberProperties is how numbers in properties are read: NumbersAsSent,
	// NumbersAsText or TextAsNumbers.
	NumberProperties string `json:"numberProperties"`
	// FileAccess is what the link to an attachment asks for: FileKey, FileOpen or
	// FileKeyRefused.
	FileAccess string `json:"fileAccess"`
	// AttachLinks is the form of links to attachments of documents that are
	// seeded from then on: LinksAbsolute or LinksRelative.
	AttachLinks string `json:"attachLinks"`
}

// Positions of the switches of DocumentSwitches.
const (
	MissingNotFound = "404"
	MissingNull     = "null"  // 200 with null
	MissingEmpty    = "empty" // 200 without a body

	SaveObject       = "object"       // {"id":1,"number":"..."}
	SaveRegistration = "registration" // {"id":1,"registrationNumber":"..."}
	SaveData         = "data"         // {"data":{"id":1,"number":"..."}}
	SaveID           = "id"           // 1
	SaveEntity       = "entity"       // the whole object
	SaveEmpty        = "empty"        // no body

	LookupNumber       = "number"
	LookupRegistration = "registration"
	LookupBoth         = "both"
	LookupNone         = "none"

	VersionNone    = "none"
	VersionShown   = "shown"   // version counts the changes
	VersionChecked = "checked" // and a PATCH that names another one is refused (409)

	FieldsRefused = "refused"
	FieldsIgnored = "ignored"

	NumberAtOnce = "at-once"
	NumberNever  = "never" // number stays null

	NumberKept    = "kept"
	NumberIgnored = "ignored"

	DuplicatesAccepted = "accepted"
	DuplicatesRefused  = "refused"

	NullRemoves = "removes"
	NullKept    = "kept"
	NullIgnored = "ignored"

	DepthKeys = "keys" // a property is replaced as a whole
	DepthAll  = "all"  // objects in properties are merged, too

	ListsReplaced = "replaced"
	ListsAdded    = "added"

	PropertiesAccepted = "accepted"
	PropertiesDropped  = "dropped"
	PropertiesRefused  = "refused"

	NumbersAsSent = "as-sent"
	NumbersAsText = "text"    // 12.50 is read as "12.50"
	TextAsNumbers = "numbers" // "12.50" is read as 12.50

	FileKey        = "key"         // the API key
	FileOpen       = "open"        // nothing
	FileKeyRefused = "key-refused" // nothing, and the API key is an error (400), as at a store with signed links

	LinksAbsolute = "absolute"
	LinksRelative = "relative"
)

// DefaultProperties are the property keys that the simulated tenant knows. They
// take values of any type.
func DefaultProperties() map[string]string {
	known := map[string]string{}
	for _, key := range []string{
		"ksefNumber", "ksefStatus", "ksefReferenceNumber", "ksefAcceptedAt", "ksefMode", "ksefVerificationLink", "ksefUpo", "ksefMessage",
		"ksefNote", "ksefHash", "ksefArchive", xmlProperty, "extStatus", "extName", "counterpartyNumber", "counterpartyReference", "sellerNip",
		"sellerName", "issueDate", "supplyDate", "dueDate", "receiptDate", "currency", "exchangeRate", "paymentCondition", "totalNet",
		"totalVat", "totalGross", "bankAccount", "items", "vatSummary",
	} {
		known[key] = "any"
	}
	return known
}

func documentInfos() []switchInfo {
	return []switchInfo{
		choice("entityAnswer", "the shape of what GET of an entity answers", AnswerObject, AnswerArray, AnswerData, AnswerDataArray),
		choice("missingEntity", "what GET answers where there is no such object and no array", MissingNotFound, MissingNull, MissingEmpty),
		choice("saveAnswer", "what POST and PATCH answer", SaveObject, SaveRegistration, SaveData, SaveID, SaveEntity, SaveEmpty),
		choice("createStatus", "the status of a POST that worked", http.StatusCreated, http.StatusOK, http.StatusAccepted),
		choice("documentLookup", "the parameter that picks a document by its number", LookupNumber, LookupRegistration, LookupBoth, LookupNone),
		choice("documentVersion", "whether documents have a version that guards against lost updates", VersionNone, VersionShown, VersionChecked),
		choice("refusalStatus", "the status of a document with an unknown status, owner, type, company or a missing field", http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusInternalServerError),
		choice("unknownFields", "what becomes of an unknown field in a body", FieldsRefused, FieldsIgnored),
		choice("companyRequired", "whether a document can be created without companyId", false, true),
		choice("agencyOptional", "whether agencyId may be left out (the unit of the URL counts then)", false, true),
		free("absentTypes", "which document types are configured", "a list of types, such as INVOICE.PURCHASE.CORRECTION; [] for all there are", []string{}, anything),
		choice("numbering", "whether Teamogy numbers a document that has no number", NumberAtOnce, NumberNever),
		choice("numberGiven", "whether a number in a POST is kept", NumberKept, NumberIgnored),
		choice("duplicateInvoices", "whether Teamogy itself refuses a second document with the same KSeF number", DuplicatesAccepted, DuplicatesRefused),
		choice("acceptedLocked", "whether an issued invoice with a KSeF number can still be changed", false, true),
		choice("patchReplaces", "whether PATCH replaces the whole properties object or merges it", false, true),
		choice("nullProperties", "what PATCH does with a property of null", NullRemoves, NullKept, NullIgnored),
		choice("patchDepth", "how deep PATCH merges", DepthKeys, DepthAll),
		choice("patchLists", "whether PATCH replaces lists or adds to them", ListsReplaced, ListsAdded),
		free("knownProperties", "the property keys that are configured, with the types of their values",
			"an object of key to any, text, number, boolean, date, list or object", DefaultProperties(), func(v any) bool {
				for _, kind := range v.(map[string]string) {
					if !slices.Contains(propertyKinds, kind) {
						return false
					}
				}
				return true
			}),
		choice("unknownProperties", "what becomes of a property key that is not configured", PropertiesAccepted, PropertiesDropped, PropertiesRefused),
		choice("numberProperties", "whether numbers in properties are read as numbers or as text", NumbersAsSent, NumbersAsText, TextAsNumbers),
		choice("fileAccess", "whether the link to an attachment asks for the API key", FileKey, FileOpen, FileKeyRefused),
		choice("attachLinks", "whether links to attachments are whole addresses", LinksAbsolute, LinksRelative),
	}
}
