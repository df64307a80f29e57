package teamogy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"sort"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// maxFieldMap bounds a fields file.
const maxFieldMap = 1 << 20

// LoadFieldMap reads a JSON file (TEAMOGY_FIELDS_FILE) over the defaults: what it does not mention stays, lists are
// replaced, Types and Headers are added to. An unknown name is an error, as is anything that Validate finds. A
// property that is null or "" is not written.
func LoadFieldMap(r io.Reader) (FieldMap, error) {
	m := DefaultFieldMap()
	limited := &io.LimitedReader{R: r, N: maxFieldMap + 1}
	d := json.NewDecoder(limited)
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return FieldMap{}, fmt.Errorf("read the Teamogy field map: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return FieldMap{}, errors.New("read the Teamogy field map: there is more text after the JSON object")
	}
	if limited.N <= 0 {
		return FieldMap{}, fmt.Errorf("read the Teamogy field map: it is larger than %d bytes", maxFieldMap)
	}
	if err := m.Validate(); err != nil {
		return FieldMap{}, fmt.Errorf("check the Teamogy field map: %w", err)
	}
	return m, nil
}

// Validate names everything that is wrong with the field map, joined.
func (m FieldMap) Validate() error {
	return errors.Join(slices.Concat(
		m.validateProperties(), m.validateNames(), m.validateTypes(), m.validateCompanies(), m.validateChoices(),
		m.validateHeaders())...)
}

func (m FieldMap) validateProperties() (found []error) {
	used := map[string]string{}
	for _, p := range m.Properties.list() {
		if !slices.Contains(p.types, p.Type) {
			found = append(found, fmt.Errorf("properties.%s: the type %q is not one of %v", p.name, p.Type, p.types))
		}
		if p.Key == "" {
			continue
		}
		if strings.ContainsAny(p.Key, ",'\"(){}") || strings.IndexFunc(p.Key, isSpaceOrControl) >= 0 {
			found = append(found, fmt.Errorf("properties.%s: the key %q holds a space, comma, quote or bracket", p.name, p.Key))
		}
		if other, ok := used[p.Key]; ok {
			found = append(found, fmt.Errorf("properties.%s: the key %q is already that of %s", p.name, p.Key, other))
		}
		used[p.Key] = p.name
	}
	if m.Properties.KSeFNumber.Key == "" {
		found = append(found, errors.New("properties.ksefNumber: may not be empty, invoices are recognised by it"))
	}
	if m.XMLSource == XMLFromProperty && m.Properties.KSeFXML.Key == "" {
		found = append(found, errors.New("properties.ksefXml: may not be empty while xmlSource is \"property\""))
	}
	return found
}

func (m FieldMap) validateNames() (found []error) {
	names := []struct{ name, value string }{
		{"views.companies", m.Views.Companies},
		{"views.purchaseInvoices", m.Views.PurchaseInvoices},
		{"views.salesInvoices", m.Views.SalesInvoices},
		{"columns.id", m.Columns.ID},
		{"columns.type", m.Columns.Type},
		{"columns.status", m.Columns.Status},
		{"columns.number", m.Columns.Number},
		{"columns.name", m.Columns.Name},
		{"query.id", m.Query.ID},
		{"query.registration", m.Query.Registration},
		{"query.columns", m.Query.Columns},
		{"query.properties", m.Query.Properties},
		{"query.filter", m.Query.Filter},
		{"query.limit", m.Query.Limit},
		{"query.offset", m.Query.Offset},
	}
	if m.Views.Suppliers != "" {
		names = append(names, struct{ name, value string }{"views.suppliers", m.Views.Suppliers})
	}
	if m.Columns.Disabled != "" {
		names = append(names, struct{ name, value string }{"columns.disabled", m.Columns.Disabled})
	}
	if m.Columns.Supplier != "" {
		names = append(names, struct{ name, value string }{"columns.supplier", m.Columns.Supplier})
	}
	for _, n := range names {
		if !plainName.MatchString(n.value) {
			found = append(found, fmt.Errorf("%s: %q is not a name (letters, digits, dot, dash, underscore)", n.name, n.value))
		}
	}
	return found
}

func (m FieldMap) validateTypes() (found []error) {
	kinds := make([]string, 0, len(m.Types))
	for kind := range m.Types {
		kinds = append(kinds, kind)
	}
	sort.Strings(kinds)
	for _, kind := range kinds {
		if !plainName.MatchString(m.Types[kind]) {
			found = append(found, fmt.Errorf("types.%s: %q is not a document type", kind, m.Types[kind]))
		}
	}
	if _, ok := m.Types["*"]; !ok {
		found = append(found, errors.New("types.*: the type for every other kind of invoice is missing"))
	}
	return found
}

func (m FieldMap) validateCompanies() (found []error) {
	c := m.Companies
	if len(c.Lookup) == 0 {
		found = append(found, errors.New("companies.lookup: name at least one of registration, filter, scan"))
	}
	for _, way := range c.Lookup {
		switch way {
		case lookupRegistration, lookupScan:
		case lookupFilter:
			if !strings.Contains(c.Filter, "{nip}") {
				found = append(found, errors.New("companies.filter: must hold {nip} when lookup names filter"))
			}
		default:
			found = append(found, fmt.Errorf("companies.lookup: %q is not one of registration, filter, scan", way))
		}
	}
	if slices.Contains(c.Lookup, lookupRegistration) && len(c.RegistrationPrefixes) == 0 {
		found = append(found, errors.New(`companies.registrationPrefixes: name at least one, "" for the NIP alone`))
	}
	if len(c.RegistrationPaths) == 0 {
		found = append(found, errors.New("companies.registrationPaths: name at least one"))
	}
	for _, path := range c.RegistrationPaths {
		if !plainName.MatchString(path) {
			found = append(found, fmt.Errorf("companies.registrationPaths: %q is not a path", path))
		}
	}
	if c.CacheMinutes < 1 {
		found = append(found, errors.New("companies.cacheMinutes: must be at least 1"))
	}
	return found
}

func (m FieldMap) validateChoices() (found []error) {
	if m.PropertyFilter != "" && (!strings.Contains(m.PropertyFilter, "{key}") || !strings.Contains(m.PropertyFilter, "{value}")) {
		found = append(found, errors.New("propertyFilter: must hold {key} and {value}, or be empty"))
	}
	if m.PageSize < 1 || m.PageSize > 1000 {
		found = append(found, fmt.Errorf("pageSize: %d is not between 1 and 1000", m.PageSize))
	}
	if m.ScanLimit < 1 {
		found = append(found, errors.New("scanLimit: must be at least 1"))
	}
	switch m.ReceivedSearch {
	case SearchFilter, SearchScan, SearchNone:
	default:
		found = append(found, fmt.Errorf("receivedSearch: %q is not one of filter, scan, none", m.ReceivedSearch))
	}
	if m.DoubtSeconds < 10 || m.DoubtSeconds > 86_400 {
		found = append(found, fmt.Errorf("doubtSeconds: %d is not between 10 and 86400", m.DoubtSeconds))
	}
	if m.ViewLagSeconds < 0 || m.ViewLagSeconds > 3600 {
		found = append(found, fmt.Errorf("viewLagSeconds: %d is not between 0 and 3600", m.ViewLagSeconds))
	}
	if m.XMLSource != XMLFromProperty && m.XMLSource != XMLFromAttachment {
		found = append(found, fmt.Errorf("xmlSource: %q is not one of property, attachment", m.XMLSource))
	}
	if m.XMLInView && m.XMLSource != XMLFromProperty {
		found = append(found, errors.New("xmlInView: only with xmlSource \"property\""))
	}
	if _, err := regexp.Compile(m.AttachmentPattern); err != nil {
		found = append(found, fmt.Errorf("attachmentPattern: %w", err))
	}
	if m.PatchMode != PatchReadModifyWrite && m.PatchMode != PatchMerge {
		found = append(found, fmt.Errorf("patchMode: %q is not one of read-modify-write, merge", m.PatchMode))
	}
	return found
}

func (m FieldMap) validateHeaders() (found []error) {
	for name, value := range m.Headers {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			found = append(found, fmt.Errorf("headers: %q or its value is not valid in HTTP", name))
		}
		switch http.CanonicalHeaderKey(name) {
		case "Authorization", "Host", "Content-Length", "Transfer-Encoding", "Content-Type", "Accept":
			found = append(found, fmt.Errorf("headers: %q is set by the client itself", name))
		case "Idempotency-Key", "X-Idempotency-Key":
			found = append(found, fmt.Errorf("headers: %q would let a POST be repeated unseen", name))
		}
	}
	return found
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.\-]*$`)

func isSpaceOrControl(r rune) bool { return r <= ' ' || r == 0x7f }

// namedProperty is a property with its logical name and the value types that make sense for it.
type namedProperty struct {
	Property
	name  string
	types []ValueType
}

// list has every property once, in the order of the struct.
func (p Properties) list() []namedProperty {
	text := []ValueType{Text}
	moment := []ValueType{DateTime, Date}
	amount := []ValueType{Number, DecimalString}
	free := []ValueType{JSON}
	return []namedProperty{
		{p.KSeFNumber, "ksefNumber", text},
		{p.KSeFStatus, "ksefStatus", text},
		{p.KSeFReferenceNumber, "ksefReferenceNumber", text},
		{p.KSeFAcceptedAt, "ksefAcceptedAt", moment},
		{p.KSeFMode, "ksefMode", text},
		{p.KSeFVerificationLink, "ksefVerificationLink", text},
		{p.KSeFUPO, "ksefUpo", text},
		{p.KSeFMessage, "ksefMessage", text},
		{p.KSeFNote, "ksefNote", text},
		{p.KSeFHash, "ksefHash", text},
		{p.KSeFArchive, "ksefArchive", text},
		{p.KSeFXML, "ksefXml", text},
		{p.CounterpartyNumber, "counterpartyNumber", text},
		{p.CounterpartyReference, "counterpartyReference", text},
		{p.SellerNIP, "sellerNip", text},
		{p.SellerName, "sellerName", text},
		{p.IssueDate, "issueDate", moment},
		{p.SupplyDate, "supplyDate", moment},
		{p.DueDate, "dueDate", moment},
		{p.ReceiptDate, "receiptDate", moment},
		{p.Currency, "currency", text},
		{p.ExchangeRate, "exchangeRate", amount},
		{p.PaymentCondition, "paymentCondition", text},
		{p.TotalNet, "totalNet", amount},
		{p.TotalVAT, "totalVat", amount},
		{p.TotalGross, "totalGross", amount},
		{p.BankAccount, "bankAccount", text},
		{p.Items, "items", free},
		{p.VATSummary, "vatSummary", free},
	}
}
