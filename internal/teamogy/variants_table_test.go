package teamogy_test

import "teamogy-ksef/internal/teamogy"

// samples are values of switches that take any.
var samples = map[string][]any{
	"requestsPerMinute":  {0, 3},
	"quotaStatus":        {400, 403, 429, 503},
	"allowedIps":         {[]string{}},
	"requiredHeader":     {"", "X-Domain"},
	"answerLimitBytes":   {10 << 20, 1500},
	"absentTypes":        {[]string{}, []string{"INVOICE.PURCHASE.CORRECTION"}},
	"knownProperties":    {map[string]string{}, map[string]string{"ksefNumber": "text", "totalGross": "text"}},
	"registrationKey":    {"vatId", "NIP"},
	"pageLimit":          {1000, 3},
	"sortSeed":           {0, 7},
	"columnNames":        {map[string]string{}, map[string]string{"number": "docNumber"}, map[string]string{"status": "state"}, map[string]string{"isDisabled": "inactive"}},
	"absentViews":        {[]string{}, []string{"companies.supplier"}, []string{"companies"}, []string{"invoices.purchase"}, []string{"invoices.sales"}},
	"viewDelaySeconds":   {0, 4, 30},
	"newDelaySeconds":    {0, 4, 30},
	"changeDelaySeconds": {0, 30},
	"searchDelaySeconds": {0, 4, 30},
}

// companions are settings without which a switch makes no difference; each of several is tried.
var companions = map[string][]fields{
	"quotaStatus":        {{"requestsPerMinute": 3}},
	"quotaRetryAfter":    {{"requestsPerMinute": 3}, {"requestsPerMinute": 3, "quotaStatus": 403}},
	"retryAfterForm":     {{"requestsPerMinute": 3}},
	"quotaScope":         {{"requestsPerMinute": 3}},
	"quotaWindow":        {{"requestsPerMinute": 3}},
	"quotaCountsRefused": {{"requestsPerMinute": 3}},
	"errorBody":          {{}, {"registration": false, "filterProperties": "refused", "pageLimit": 3, "overLimit": "refused"}},
	"tooLargeStatus":     {{"answerLimitBytes": 1500}},
	"registrationAbsent": {{"registration": false}},
	"filterNames":        {{}, {"registration": false}},
	"overLimit":          {{"pageLimit": 3}},
	"metadataLimit":      {{"pageLimit": 3}},
	"metadataCount":      {{"pageLimit": 3}},
	"nextOffsetEnd":      {{}, {"pageLimit": 3}},
	"sortOrder":          {{}},
	"sortSeed":           {{"sortOrder": "shuffled"}},
	"propertyKeys":       {{"flatProperties": true}},
	"missingProperties":  {{}, {"flatProperties": true}},
}

// exception is a position under which not everything works.
type exception struct {
	reason string
	fails  map[string]string // by step, a part of the error
	// told tells the product of it; then everything works, apart from still.
	told  func(*bed)
	still map[string]string
}

// everyStep stands for all steps in exception.fails.
const everyStep = "*"

// receiving are the steps that create a document, failing alike.
func receiving(text string) map[string]string {
	return map[string]string{
		"receive an invoice": text, "receive without a company": text,
		"receive with the answer lost": text, "receive with answer and memory lost": text,
	}
}

// looking are the steps that look for a document by its KSeF number, failing alike.
func looking(text string) map[string]string {
	all := receiving(text)
	all["be refused a status"] = text
	return all
}

// exceptions are by position. A bug gets none: what is here cannot be found out from outside, or not without a risk.
var exceptions = map[string]exception{
	`companyRequired=true`: {
		reason: "an invoice of an unknown supplier has no company; the settings must name one for those",
		fails:  map[string]string{"receive without a company": "a company is required"},
		told:   func(b *bed) { b.fallback = b.alfa },
	},
	`unknownProperties=refused`: {
		reason: "PATCH may replace, so all properties are sent, also those that the tenant has removed from its configuration",
		fails:  map[string]string{"write back": "set patchMode to merge"},
		told:   func(b *bed) { b.fields.PatchMode = teamogy.PatchMerge },
	},
	`numberProperties=text`: {
		reason: "PATCH may replace, so all properties are sent as they were read; a number that is shown as text becomes one",
		fails:  map[string]string{"write back": `the property budget was 12.50 and is "12.50"`},
		told:   func(b *bed) { b.fields.PatchMode = teamogy.PatchMerge },
	},
	`numberProperties=numbers`: {
		reason: "the same the other way round",
		fails:  map[string]string{"write back": `the property costCentre was "12.50" and is 12.50`},
		told:   func(b *bed) { b.fields.PatchMode = teamogy.PatchMerge },
	},
	`acceptedLocked=true`: {
		reason: "the KSeF number is written in one PATCH; what would be added later, Teamogy refuses",
		fails:  map[string]string{"write to an accepted invoice": "was sent to KSeF and cannot be changed any more"},
	},
	`missingEntity=empty`: {
		reason: "an answer without a body is no proof that a document is gone: an invoice could be created twice",
		fails:  map[string]string{"write to a deleted invoice": "perhaps the document was deleted"},
	},
	`errorBody=html`: {
		reason: "nor is a page with status 404, which any proxy may send",
		fails:  map[string]string{"write to a deleted invoice": "Error 404 no such document"},
	},
	`tooLargeStatus=500`: {
		reason: "a failing server is not asked at once for less; a page of 500 rows is far below 10 MB",
		fails:  looking("the answer is larger than 1500 bytes"),
		told:   func(b *bed) { b.fields.PageSize = 5 },
	},
	`tooLargeStatus=502`: {
		reason: "the same",
		fails:  looking("the answer is larger than 1500 bytes"),
		told:   func(b *bed) { b.fields.PageSize = 5 },
	},
	`requiredHeader=X-Domain`: {
		reason: "the header's name is not known",
		fails:  map[string]string{everyStep: "the header X-Domain is missing"},
		told:   func(b *bed) { b.fields.Headers = map[string]string{"X-Domain": "acme.example"} },
	},
	`absentTypes=["INVOICE.PURCHASE.CORRECTION"]`: {
		reason: "which type stands for another is the tenant's choice",
		fails:  map[string]string{"receive with the answer lost": "the type is not configured"},
		told:   func(b *bed) { b.fields.Types["KOR"] = "INVOICE.PURCHASE" },
	},
	`knownProperties={"ksefNumber":"text","totalGross":"text"}`: {
		reason: "the types of values are the tenant's choice",
		fails:  receiving("has another type than the field map says"),
		told:   func(b *bed) { b.fields.Properties.TotalGross.Type = teamogy.DecimalString },
	},
	`columnNames={"status":"state"}`: {
		reason: "the names of columns are the tenant's choice",
		fails:  map[string]string{"list ready invoices": `no row of the view invoices.sales shows the column "status": correct columns.status`},
		told:   func(b *bed) { b.fields.Columns.Status = "state" },
	},
	`columnNames={"isDisabled":"inactive"}`: {
		reason: "the names of columns are the tenant's choice",
		fails:  map[string]string{"find no company": `no row of the view companies.supplier shows the column "isDisabled": correct columns.disabled`},
		told:   func(b *bed) { b.fields.Columns.Disabled = "inactive" },
	},
	`absentViews=["companies"]`: {
		reason: "the names of views are the tenant's choice",
		fails:  map[string]string{"find no company": "there is no view companies"},
		told:   func(b *bed) { b.fields.Views.Companies = "companies.supplier" },
	},
	`absentViews=["invoices.purchase"]`: {
		reason: "the names of views are the tenant's choice",
		fails:  looking("there is no view invoices.purchase"),
		told:   func(b *bed) { b.fields.Views.PurchaseInvoices = "documents" },
	},
	`absentViews=["invoices.sales"]`: {
		reason: "the names of views are the tenant's choice",
		fails:  map[string]string{"list ready invoices": "there is no view invoices.sales"},
		told:   func(b *bed) { b.fields.Views.SalesInvoices = "documents" },
	},
}
