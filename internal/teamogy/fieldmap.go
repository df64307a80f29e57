package teamogy

import "regexp"

// FieldMap holds every name that Teamogy does not document or that a tenant may have chosen: property keys, views,
// columns, query parameters, document types. It is data, so that a tenant is fitted without a change of the program.
// DefaultFieldMap has the names that are known or most likely; LoadFieldMap lays a file over them.
type FieldMap struct {
	// Properties are the keys in a document's properties object.
	Properties Properties `json:"properties"`
	// Types maps FA(3)'s RodzajFaktury to the type of a received invoice's document; "*" is for every other kind.
	Types map[string]string `json:"types"`
	// Views are the names of the views that are read.
	Views Views `json:"views"`
	// Columns are the names of base columns in views and of fields in entities.
	Columns Columns `json:"columns"`
	// Query are the names of query parameters.
	Query Query `json:"query"`
	// Companies says how a company is found by its NIP.
	Companies Companies `json:"companies"`
	// PropertyFilter is the filter expression for a property's value, with {key} and {value}. Empty: properties are
	// never filtered on, invoices are found by reading the whole view. Whether Teamogy filters on properties is
	// unknown; the client finds out by itself and does not rely on it.
	PropertyFilter string `json:"propertyFilter"`
	// PageSize is the number of rows asked for at once, 1 to 1000. Teamogy refuses answers over 10 MB. Where it refuses
	// so many rows with a 4xx, the client asks for half as many until they come.
	PageSize int `json:"pageSize"`
	// ScanLimit is the number of rows after which reading a whole view is given up.
	ScanLimit int `json:"scanLimit"`
	// ReceivedSearch says how a received invoice's document can be found by its KSeF number: "filter" (the view filtered
	// by PropertyFilter where that proves to work, else the whole view), "scan" (the whole view, never filtered by a
	// property) or "none" (it cannot be found). With "none" a create whose answer was lost is never repeated: a person
	// says what came of it.
	ReceivedSearch string `json:"receivedSearch"`
	// ViewLagSeconds is how long a created document may usually take to appear in a view. See
	// Client.FindDocumentByKSeFNumber.
	ViewLagSeconds int `json:"viewLagSeconds"`
	// DoubtSeconds is how long, beyond ViewLagSeconds, a document is looked for after the answer to its create was lost,
	// before it is created once more. It should be much longer than Teamogy's views ever lag behind: a lost answer is
	// rare, and waiting costs nobody anything. Less than ViewLagSeconds counts as that.
	DoubtSeconds int `json:"doubtSeconds"`
	// XMLSource is where the FA(3) XML of an issued invoice is: "property" or "attachment".
	XMLSource string `json:"xmlSource"`
	// XMLInView says that the sales invoices' view shows the XML property whole, so that the XML of many invoices is read
	// with one request. The client compares it with the documents now and then. What a view shows may be some seconds
	// old: a change that is made within them to an invoice that is ready may be missed.
	XMLInView bool `json:"xmlInView"`
	// AttachmentPattern is a regular expression for the name or link of the XML attachment.
	AttachmentPattern string `json:"attachmentPattern"`
	// PatchMode is "read-modify-write" (safe whether PATCH merges or replaces the properties; the client finds out which,
	// on a property of its own, and sends the changed keys only once it is known to merge) or "merge" (sends the changed
	// keys only from the beginning; for tenants where merging was proven).
	PatchMode string `json:"patchMode"`
	// Headers are sent with every request, in addition to our own.
	Headers map[string]string `json:"headers"`
}

// Values of FieldMap.ReceivedSearch, FieldMap.XMLSource and FieldMap.PatchMode.
const (
	SearchFilter = "filter"
	SearchScan   = "scan"
	SearchNone   = "none"

	XMLFromProperty   = "property"
	XMLFromAttachment = "attachment"

	PatchReadModifyWrite = "read-modify-write"
	PatchMerge           = "merge"
)

// Properties are the logical names of what this product reads and writes in a document's properties.
type Properties struct {
	// The KSeF number is how a received invoice is recognised, so its key may not be empty.
	KSeFNumber           Property `json:"ksefNumber"`
	KSeFStatus           Property `json:"ksefStatus"`
	KSeFReferenceNumber  Property `json:"ksefReferenceNumber"` // of the KSeF session
	KSeFAcceptedAt       Property `json:"ksefAcceptedAt"`
	KSeFMode             Property `json:"ksefMode"`             // online or offline
	KSeFVerificationLink Property `json:"ksefVerificationLink"` // the public link behind the QR code
	KSeFUPO              Property `json:"ksefUpo"`              // where the confirmation of receipt is archived
	KSeFMessage          Property `json:"ksefMessage"`          // why an issued invoice was not accepted
	KSeFNote             Property `json:"ksefNote"`             // what to check on a received invoice
	KSeFHash             Property `json:"ksefHash"`             // SHA-256 of the XML
	KSeFArchive          Property `json:"ksefArchive"`          // where the XML of a received invoice is archived
	KSeFXML              Property `json:"ksefXml"`              // FA(3) of an issued invoice, raw or Base64

	CounterpartyNumber    Property `json:"counterpartyNumber"` // the supplier's invoice number (P_2)
	CounterpartyReference Property `json:"counterpartyReference"`
	SellerNIP             Property `json:"sellerNip"`
	SellerName            Property `json:"sellerName"`
	IssueDate             Property `json:"issueDate"`
	SupplyDate            Property `json:"supplyDate"`
	DueDate               Property `json:"dueDate"`
	ReceiptDate           Property `json:"receiptDate"`
	Currency              Property `json:"currency"`
	ExchangeRate          Property `json:"exchangeRate"`
	PaymentCondition      Property `json:"paymentCondition"`
	TotalNet              Property `json:"totalNet"`
	TotalVAT              Property `json:"totalVat"`
	TotalGross            Property `json:"totalGross"`
	BankAccount           Property `json:"bankAccount"`
	Items                 Property `json:"items"`
	VATSummary            Property `json:"vatSummary"`
}

// Views are names of views, as they stand in the URL after /views/. An empty Suppliers view is skipped.
type Views struct {
	Suppliers        string `json:"suppliers"`
	Companies        string `json:"companies"`
	PurchaseInvoices string `json:"purchaseInvoices"`
	SalesInvoices    string `json:"salesInvoices"`
}

// Columns are names of base columns and entity fields. An empty Supplier column is not asked for; those of the
// suppliers' view count as suppliers anyway. Nor is an empty Disabled column: then every company that a view shows
// counts as enabled.
type Columns struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Status   string `json:"status"`
	Number   string `json:"number"`
	Name     string `json:"name"`
	Disabled string `json:"disabled"`
	Supplier string `json:"supplier"`
}

// Query are names of query parameters.
type Query struct {
	ID           string `json:"id"`
	Registration string `json:"registration"`
	Columns      string `json:"columns"`
	Properties   string `json:"properties"`
	Filter       string `json:"filter"`
	Limit        string `json:"limit"`
	Offset       string `json:"offset"`
}

// Companies says how a company is found by its NIP.
type Companies struct {
	// Lookup are the ways in the order in which they are tried: "registration" (GET /companies?registration=),
	// "filter" (the suppliers' view with Filter), "scan" (reading the suppliers' view, then that of all companies).
	Lookup []string `json:"lookup"`
	// RegistrationPrefixes are put before the NIP for the look-up by registration, each in a request of its own.
	RegistrationPrefixes []string `json:"registrationPrefixes"`
	// RegistrationPaths are where a company's NIP may stand: field names joined by dots. Every text below counts.
	RegistrationPaths []string `json:"registrationPaths"`
	// Filter is the expression of the way "filter", with {nip}.
	Filter string `json:"filter"`
	// CacheMinutes is how long answers are remembered, and the least time between two scans.
	CacheMinutes int `json:"cacheMinutes"`
}

// The ways of Companies.Lookup.
const (
	lookupRegistration = "registration"
	lookupFilter       = "filter"
	lookupScan         = "scan"
)

// DefaultFieldMap returns the names that are documented or, where nothing is, most likely.
func DefaultFieldMap() FieldMap {
	text := func(key string) Property { return Property{Key: key, Type: Text} }
	date := func(key string) Property { return Property{Key: key, Type: Date} }
	amount := func(key string) Property { return Property{Key: key, Type: Number} }
	return FieldMap{
		Properties: Properties{
			KSeFNumber:            text("ksefNumber"),
			KSeFStatus:            text("ksefStatus"),
			KSeFReferenceNumber:   text("ksefReferenceNumber"),
			KSeFAcceptedAt:        Property{Key: "ksefAcceptedAt", Type: DateTime},
			KSeFMode:              text("ksefMode"),
			KSeFVerificationLink:  text("ksefVerificationLink"),
			KSeFUPO:               text("ksefUpo"),
			KSeFMessage:           text("ksefMessage"),
			KSeFNote:              text("ksefNote"),
			KSeFHash:              text("ksefHash"),
			KSeFArchive:           text(""),
			KSeFXML:               text("ksefXml"),
			CounterpartyNumber:    text("counterpartyNumber"),
			CounterpartyReference: text("counterpartyReference"),
			SellerNIP:             text("sellerNip"),
			SellerName:            text("sellerName"),
			IssueDate:             date("issueDate"),
			SupplyDate:            date("supplyDate"),
			DueDate:               date("dueDate"),
			ReceiptDate:           date("receiptDate"),
			Currency:              text("currency"),
			ExchangeRate:          amount("exchangeRate"),
			PaymentCondition:      text("paymentCondition"),
			TotalNet:              amount("totalNet"),
			TotalVAT:              amount("totalVat"),
			TotalGross:            amount("totalGross"),
			BankAccount:           text("bankAccount"),
			Items:                 Property{Key: "items", Type: JSON},
			VATSummary:            Property{Key: "vatSummary", Type: JSON},
		},
		Types: map[string]string{
			"VAT":     "INVOICE.PURCHASE",
			"UPR":     "INVOICE.PURCHASE",
			"ROZ":     "INVOICE.PURCHASE",
			"ZAL":     "INVOICE.PURCHASE.PREPAYMENT",
			"KOR":     "INVOICE.PURCHASE.CORRECTION",
			"KOR_ZAL": "INVOICE.PURCHASE.CORRECTION",
			"KOR_ROZ": "INVOICE.PURCHASE.CORRECTION",
			"*":       "INVOICE.PURCHASE",
		},
		Views: Views{
			Suppliers: "companies.supplier", Companies: "companies",
			PurchaseInvoices: "invoices.purchase", SalesInvoices: "invoices.sales",
		},
		Columns: Columns{
			ID: "id", Type: "type", Status: "status", Number: "number", Name: "name", Disabled: "isDisabled",
		},
		Query: Query{
			ID: "id", Registration: "registration", Columns: "columns", Properties: "properties",
			Filter: "externalFilter", Limit: "limit", Offset: "offset",
		},
		Companies: Companies{
			Lookup:               []string{lookupRegistration, lookupScan},
			RegistrationPrefixes: []string{"", "PL"},
			RegistrationPaths:    []string{"registrations"},
			CacheMinutes:         10,
		},
		PropertyFilter:    "properties.{key}='{value}'",
		PageSize:          500,
		ScanLimit:         200_000,
		ReceivedSearch:    SearchFilter,
		ViewLagSeconds:    5,
		DoubtSeconds:      900,
		XMLSource:         XMLFromProperty,
		AttachmentPattern: `(?i)\.xml$`,
		PatchMode:         PatchReadModifyWrite,
	}
}

// DocumentType is the type of the document for a received invoice of this RodzajFaktury.
func (m FieldMap) DocumentType(kind string) string {
	if t, ok := m.Types[kind]; ok {
		return t
	}
	return m.Types["*"]
}

func (m FieldMap) attachmentName() *regexp.Regexp { return regexp.MustCompile(m.AttachmentPattern) }
