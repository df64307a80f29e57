package teamogysim

// CompanySwitches are unknowns about how a company is found by its NIP. The
// zero value is the default of each.
type CompanySwitches struct {
	// RegistrationAbsent is how GET /companies?registration= is answered where
	// the tenant has no such look-up: AbsentRefused, AbsentNotFound, AbsentEmpty
	// or AbsentIgnored.
	RegistrationAbsent string `json:"registrationAbsent"`
	// RegistrationPrefix is what the look-up does with the country's prefix PL:
	// PrefixExact, PrefixRequired, PrefixRefused or PrefixEither.
	RegistrationPrefix string `json:"registrationPrefix"`
	// RegistrationKey is the key in registrations under which a NIP stands that
	// was seeded as "nip". Empty means vatId.
	RegistrationKey string `json:"registrationKey"`
	// RegistrationStored is how such a NIP is written: StoredPlain, StoredPrefix
	// or StoredDashes.
	RegistrationStored string `json:"registrationStored"`
	// RegistrationValues is the shape of registrations: ValuesText, ValuesObject
	// or ValuesList.
	RegistrationValues string `json:"registrationValues"`
	// DisabledCompanies is whether views show disabled companies:
	// DisabledShown or DisabledHidden.
	DisabledCompanies string `json:"disabledCompanies"`
}

// Positions of the switches of CompanySwitches.
const (
	AbsentRefused  = "refused"   // 400
	AbsentNotFound = "not-found" // 404
	AbsentEmpty    = "empty"     // an empty array
	AbsentIgnored  = "ignored"   // all companies, as if the parameter were not there

	PrefixExact    = "exact"    // the number as it is stored
	PrefixRequired = "required" // PL and the number, however it is stored
	PrefixRefused  = "refused"  // the bare number, however it is stored
	PrefixEither   = "either"   // both

	StoredPlain  = "plain"  // 5265877635
	StoredPrefix = "PL"     // PL5265877635
	StoredDashes = "dashes" // 526-587-76-35

	ValuesText   = "text"   // {"vatId":"5265877635"}
	ValuesObject = "object" // {"vatId":{"number":"5265877635"}}
	ValuesList   = "list"   // [{"type":"vatId","number":"5265877635"}]

	DisabledShown  = "shown"
	DisabledHidden = "hidden"
)

func companyInfos() []switchInfo {
	return []switchInfo{
		choice("registration", "whether GET /companies?registration= is a look-up at all", true, false),
		choice("registrationAbsent", "how it is answered where it is none", AbsentRefused, AbsentNotFound, AbsentEmpty, AbsentIgnored),
		choice("registrationPrefix", "whether the look-up wants PL before the NIP", PrefixExact, PrefixRequired, PrefixRefused, PrefixEither),
		free("registrationKey", "the key of a NIP in registrations: vatId, VATID, NIP, taxId", "a text that is not empty, such as vatId or NIP", "vatId", func(v any) bool { return v != "" }),
		choice("registrationStored", "how users write a NIP there", StoredPlain, StoredPrefix, StoredDashes),
		choice("registrationValues", "the inner shape of registrations", ValuesText, ValuesObject, ValuesList),
		choice("disabledCompanies", "whether views show disabled companies", DisabledShown, DisabledHidden),
	}
}
