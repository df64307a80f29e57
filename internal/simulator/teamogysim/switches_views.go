package teamogysim

// ViewSwitches are unknowns about views. The zero value is the default of each.
type ViewSwitches struct {
	// SortOrder is the order of rows: SortID, SortIDDescending, SortChanged or
	// SortShuffled.
	SortOrder string `json:"sortOrder"`
	// SortSeed is the seed of SortShuffled.
	SortSeed int64 `json:"sortSeed"`
	// MetadataCount is what metadata.count counts: CountMatches, CountPage or
	// CountAbsent.
	MetadataCount string `json:"metadataCount"`
	// MetadataLimit is what metadata.limit tells: LimitApplied or LimitAsked.
	MetadataLimit string `json:"metadataLimit"`
	// OverLimit is what becomes of a limit above the maximum: OverClipped or
	// OverRefused (400).
	OverLimit string `json:"overLimit"`
	// NextOffsetEnd is how the last page says that it is the last: EndNull,
	// EndAbsent or EndEmptyPage.
	NextOffsetEnd string `json:"nextOffsetEnd"`
	// EmptyData is what data is where there are no rows: EmptyList or EmptyNull.
	EmptyData string `json:"emptyData"`
	// UnknownColumns is what becomes of a column that a view has not:
	// ColumnsLeftOut, ColumnsNull or ColumnsRefused (400).
	UnknownColumns string `json:"unknownColumns"`
	// MissingProperties is how a row without a property that was asked for shows
	// it: PropertiesLeftOut or PropertiesNull.
	MissingProperties string `json:"missingProperties"`
	// PropertyKeys are the names of properties where they stand beside the
	// columns: KeysPlain or KeysDotted.
	PropertyKeys string `json:"propertyKeys"`
	// ColumnNames gives columns of views other names: {"number":"docNumber"}.
	ColumnNames map[string]string `json:"columnNames"`
	// AbsentViews are views that this tenant has not.
	AbsentViews []string `json:"absentViews"`
	// NewDelaySeconds is how long a new document is missing from views,
	// ChangeDelaySeconds how long they show a document as it was before a change,
	// and SearchDelaySeconds how long a new document is not found with a filter
	// though it is there without. All are divided by Config.TimeScale.
	NewDelaySeconds    float64 `json:"newDelaySeconds"`
	ChangeDelaySeconds float64 `json:"changeDelaySeconds"`
	SearchDelaySeconds float64 `json:"searchDelaySeconds"`
	// FilterAlternatives is what externalFilter does with OR between properties:
	// AlternativesHonoured, AlternativesRefused (400), AlternativesFirst,
	// AlternativesLast or AlternativesIgnored.
	FilterAlternatives string `json:"filterAlternatives"`
	// LongTexts is how views show a property whose text has more than longText
	// characters: TextsWhole, TextsCut, TextsStripped or TextsLeftOut.
	LongTexts string `json:"longTexts"`
	// FilterComparators are the comparisons that externalFilter knows:
	// ComparatorsDocumented or ComparatorsAll.
	FilterComparators string `json:"filterComparators"`
	// FilterNames is how externalFilter names a property: NamesEither, NamesDotted
	// or NamesPlain. Another name is none of a column and refused (400).
	FilterNames string `json:"filterNames"`
	// FilterQuotes is how a text in externalFilter holds a quote: QuotesNone,
	// QuotesDoubled or QuotesBackslash.
	FilterQuotes string `json:"filterQuotes"`
}

// Positions of the switches of ViewSwitches.
const (
	SortID           = "id"
	SortIDDescending = "id-descending"
	SortChanged      = "changed"  // what changed last comes first
	SortShuffled     = "shuffled" // another order at each request

	CountMatches = "matches" // rows on all pages
	CountPage    = "page"    // rows on this page
	CountAbsent  = "absent"

	LimitApplied = "applied"
	LimitAsked   = "asked"

	OverClipped = "clipped"
	OverRefused = "refused"

	EndNull      = "null"
	EndAbsent    = "absent"
	EndEmptyPage = "empty-page" // nextOffset goes on until a page is empty

	EmptyList = "list"
	EmptyNull = "null"

	ColumnsLeftOut = "left-out"
	ColumnsNull    = "null"
	ColumnsRefused = "refused"

	PropertiesLeftOut = "left-out"
	PropertiesNull    = "null"

	KeysPlain  = "plain"
	KeysDotted = "dotted" // "properties.ksefNumber"

	AlternativesHonoured = "honoured"
	AlternativesRefused  = "refused"
	AlternativesFirst    = "first"   // only the first one counts
	AlternativesLast     = "last"    // only the last one counts
	AlternativesIgnored  = "ignored" // they are left out of the expression

	TextsWhole    = "whole"
	TextsCut      = "cut"      // to longText characters
	TextsStripped = "stripped" // with each run of white space as one space
	TextsLeftOut  = "left-out"

	ComparatorsDocumented = "documented" // = and >
	ComparatorsAll        = "all"        // = > < >= <= != <>

	NamesEither = "either"
	NamesDotted = "dotted" // properties.ksefNumber
	NamesPlain  = "plain"  // ksefNumber

	QuotesNone      = "none"
	QuotesDoubled   = "doubled"   // 'it''s'
	QuotesBackslash = "backslash" // 'it\'s'
)

func viewInfos() []switchInfo {
	return []switchInfo{
		choice("filterProperties", "what externalFilter does with a term about a property", FilterHonoured, FilterIgnored, FilterRefused, FilterMatchesNothing),
		choice("filterNames", "how externalFilter names a property: properties.ksefNumber or ksefNumber", NamesEither, NamesDotted, NamesPlain),
		choice("filterAlternatives", "what externalFilter does with OR between properties", AlternativesHonoured, AlternativesRefused, AlternativesFirst, AlternativesLast, AlternativesIgnored),
		choice("filterComparators", "the comparisons in externalFilter beside = and >", ComparatorsDocumented, ComparatorsAll),
		choice("filterQuotes", "how a quote is written in a text in externalFilter", QuotesNone, QuotesDoubled, QuotesBackslash),
		free("pageLimit", "the default and the maximum of rows in a page", "1 or more", 1000, atLeast(1)),
		choice("overLimit", "what becomes of a limit above the maximum", OverClipped, OverRefused),
		choice("metadataLimit", "whether metadata.limit is what was applied or what was asked for", LimitApplied, LimitAsked),
		choice("metadataCount", "what metadata.count counts", CountMatches, CountPage, CountAbsent),
		choice("nextOffsetEnd", "how the last page says that it is the last", EndNull, EndAbsent, EndEmptyPage),
		choice("emptyData", "what data is where there are no rows", EmptyList, EmptyNull),
		choice("sortOrder", "the order of rows, of which paging by offset depends", SortID, SortIDDescending, SortChanged, SortShuffled),
		free("sortSeed", "the seed of the order shuffled", "a whole number", int64(0), anything),
		choice("flatProperties", "whether a row's properties stand beside its columns", false, true),
		choice("propertyKeys", "what they are called there", KeysPlain, KeysDotted),
		choice("missingProperties", "how a row shows a property that it has not", PropertiesLeftOut, PropertiesNull),
		choice("longTexts", "how views show a property with a long text, of more than 64 characters", TextsWhole, TextsCut, TextsStripped, TextsLeftOut),
		choice("unknownColumns", "what becomes of a column that the view has not", ColumnsLeftOut, ColumnsNull, ColumnsRefused),
		free("columnNames", "the names of the columns of views", `an object of our name to Teamogy's, both not empty, such as {"number":"docNumber"}; {} for ours`, map[string]string{}, func(v any) bool {
			for name, shown := range v.(map[string]string) {
				if name == "" || shown == "" {
					return false
				}
			}
			return true
		}),
		free("absentViews", "which views there are", "a list of names of views; [] for all there are", []string{}, anything),
		free("viewDelaySeconds", "how late views show new documents and changes", "0 or more", 0.0, atLeast(0)),
		free("newDelaySeconds", "how late views show new documents", "0 or more", 0.0, atLeast(0)),
		free("changeDelaySeconds", "how late views show changes", "0 or more", 0.0, atLeast(0)),
		free("searchDelaySeconds", "how late a filter finds new documents that the view shows already", "0 or more", 0.0, atLeast(0)),
	}
}
