package samples

// Company is a partner of the agency.
type Company struct {
	NIP  string
	Name string
}

// Suppliers returns the suppliers that GenerateReceived takes its known sellers from.
func Suppliers(o Options) []Company {
	var known []Company
	for _, s := range newGenerator(o).suppliers {
		known = append(known, Company{NIP: s.nip, Name: s.name})
	}
	return known
}

// company is a party of an invoice and what it sells.
type company struct {
	nip, name    string
	vatID        string // of a client in the European Union, with its country; then nip is empty
	country      string
	street, town string
	email        string
	offers       []offer // the first is what it lives on
}

// offer is something that can be a line of an invoice.
type offer struct {
	name      string
	unit      string
	low, high int64 // price of one unit in PLN
	quantity  int64 // most units on one line
	rate      rate
}

// agency is the taxpayer whose Teamogy is connected.
func agency(o Options) company {
	us := company{
		nip: o.OurNIP, name: o.OurName, country: "PL", street: "ul. Prosta 51", town: "00-838 Warszawa", email: "faktury@nowafala.example",
		offers: []offer{
			{"Kampania reklamowa w internecie: planowanie i prowadzenie", "mies.", 6_500, 18_000, 3, rate23},
			{"Projekt graficzny layoutu kampanii", "szt.", 1_200, 4_800, 4, rate23},
			{"Zakup mediów: emisja spotów radiowych", "usł.", 3_000, 22_000, 2, rate23},
			{"Produkcja materiałów POS", "szt.", 45, 180, 250, rate23},
			{"Obsługa mediów społecznościowych", "mies.", 2_500, 7_000, 2, rate23},
		},
	}
	if us.nip == "" {
		us.nip = NIP(1)
	}
	if us.name == "" {
		us.name = "Agencja Reklamowa Nowa Fala Sp. z o.o."
	}
	return us
}

var supplierList = []company{
	{
		name: "Drukarnia Alfa Sp. z o.o.", street: "ul. Drukarska 8", town: "62-080 Tarnowo Podgórne", email: "biuro@alfa-druk.example",
		offers: []offer{
			{"Druk ulotek A5, kreda 170 g, 4+4", "tys. szt.", 180, 420, 20, rate23},
			{"Druk miesięcznika branżowego (ISSN), oprawa zeszytowa", "egz.", 3, 9, 3_000, rate8},
			{"Plakaty B1, papier 150 g", "szt.", 9, 24, 300, rate23},
		},
	},
	{
		name: "Miasto Outdoor S.A.", street: "al. Jerozolimskie 180", town: "02-486 Warszawa", email: "rozliczenia@miasto-outdoor.example",
		offers: []offer{
			{"Ekspozycja na billboardach 6x3 m, sieć ogólnopolska", "szt.", 650, 1_900, 30, rate23},
			{"Ekspozycja na citylightach", "szt.", 240, 700, 40, rate23},
		},
	},
	{
		name: "Radio Wiślane Sp. z o.o.", street: "ul. Nadwiślańska 3", town: "30-527 Kraków", email: "reklama@radiowislane.example",
		offers: []offer{
			{"Emisja spotu 30 s, pasmo 6-9", "em.", 320, 980, 42, rate23},
			{"Produkcja spotu radiowego z lektorem", "szt.", 1_100, 2_600, 1, rate23},
		},
	},
	{
		name: "Studio Filmowe Kadr i Światło Sp. z o.o. Sp. k.", street: "ul. Chełmska 21", town: "00-724 Warszawa", email: "produkcja@kadr.example",
		offers: []offer{
			{"Realizacja spotu reklamowego 30 s", "usł.", 18_000, 46_000, 1, rate23},
			{"Postprodukcja i udźwiękowienie", "godz.", 180, 320, 40, rate23},
		},
	},
	{
		name: "Akademia Komunikacji Kowalska & Wspólnicy s.c.", street: "ul. Piotrkowska 104", town: "90-004 Łódź", email: "szkolenia@akademia.example",
		offers: []offer{
			{"Szkolenie zawodowe: zakup mediów, prawo reklamy", "os.", 890, 1_600, 8, rateExempt},
			{"Wynajem sali szkoleniowej", "dzień", 600, 1_100, 2, rate23},
		},
	},
	{
		name: "Targi Logistyka Polska Sp. z o.o.", street: "ul. Głogowska 14", town: "60-734 Poznań", email: "spedycja@targilog.example",
		offers: []offer{
			{"Transport międzynarodowy ekspozycji targowej", "kurs", 2_400, 6_800, 2, rate0},
			{"Montaż i demontaż stoiska", "usł.", 3_100, 7_900, 1, rate23},
		},
	},
	{
		name: "Wydawnictwo Przegląd Marketingu S.A.", street: "ul. Bracka 25", town: "00-028 Warszawa", email: "prenumerata@przegladmarketingu.example",
		offers: []offer{
			{"Prenumerata czasopisma drukowanego", "egz.", 22, 39, 12, rate8},
			{"Ogłoszenie całostronicowe, IV okładka", "szt.", 7_500, 14_500, 1, rate23},
		},
	},
	{
		name: "CloudHost Systemy Jerzy Żółkiewski", street: "ul. Rynek 7/12", town: "50-106 Wrocław", email: "bok@cloudhost.example",
		offers: []offer{
			{"Hosting stron kampanii, pakiet Pro", "mies.", 240, 760, 12, rate23},
			{"Integracja systemu CRM z narzędziem mailingowym", "godz.", 160, 260, 30, rate23},
		},
	},
}

// strangerCompany sells to the agency without being in its list of suppliers.
var strangerCompany = company{
	name: "Fotografia Anna Dąbrowska-Ścibor", street: "ul. Kwiatowa 5", town: "81-001 Gdynia", email: "anna@foto.example",
	offers: []offer{
		{"Sesja zdjęciowa produktów z prawami do 20 ujęć", "usł.", 2_800, 6_200, 1, rate23},
		{"Retusz zdjęć", "szt.", 40, 90, 25, rate23},
	},
}

var clientList = []company{
	{name: "Browar Pod Dębem S.A.", street: "ul. Piwowarska 1", town: "43-300 Bielsko-Biała", email: "faktury@poddebem.example"},
	{name: "Mleczarnia Łąka Sp. z o.o.", street: "ul. Mleczna 40", town: "18-200 Wysokie Mazowieckie", email: "ksiegowosc@laka.example"},
	{name: "Sieć Aptek Zdrowa Rodzina Sp. z o.o.", street: "ul. Lipowa 12", town: "20-024 Lublin", email: "finanse@zdrowarodzina.example"},
	{name: "Meble Orzech Sp. j. Nowak i Wójcik", street: "ul. Stolarska 9", town: "63-600 Kępno", email: "biuro@meble-orzech.example"},
	{name: "Fundacja Czyste Jeziora", street: "ul. Portowa 2", town: "11-500 Giżycko", email: "fundacja@czystejeziora.example"},
	{name: "E-sklep Słonecznik S.A.", street: "ul. Handlowa 77", town: "40-061 Katowice", email: "invoice@slonecznik.example"},
	{name: "Bank Spółdzielczy w Źródlanach", street: "Rynek 1", town: "26-200 Końskie", email: "marketing@bszrodlany.example"},
}

// abroad is the client in another country of the European Union.
var abroad = company{name: "Grünwald Werbung GmbH", vatID: "DE266123457", country: "DE", street: "Lindenstraße 20", town: "10969 Berlin", email: "rechnung@gruenwald.example"}

// numbered gives invented tax numbers to companies, none of which is taken.
func numbered(companies []company, seed int, taken map[string]bool) []company {
	result := make([]company, len(companies))
	for i, c := range companies {
		c.country = "PL"
		for c.nip = NIP(seed + i); taken[c.nip]; c.nip = NIP(seed + i) {
			seed += 1_000
		}
		taken[c.nip] = true
		result[i] = c
	}
	return result
}
