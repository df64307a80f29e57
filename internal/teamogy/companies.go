package teamogy

import (
	"context"
	"slices"
	"strings"
)

// CompanyMatch is what Teamogy's contacts know of a NIP. Neither none nor several is an error: the invoice is created
// all the same, and a person chooses.
type CompanyMatch struct {
	// ID is the company's id when Found.
	ID int64
	// Name is its name, empty when Teamogy did not say.
	Name string
	// Found means exactly one enabled company, or exactly one enabled supplier among several companies.
	Found bool
	// Ambiguous means several that cannot be told apart.
	Ambiguous bool
	// Candidates are the ids of all enabled companies with the NIP, ascending, when Ambiguous.
	Candidates []int64
}

// companyRow is a company with what is needed to choose.
type companyRow struct {
	id       int64
	name     string
	supplier bool
}

// FindCompanyByNIP finds the enabled company with this NIP in the ways of FieldMap.Companies.Lookup. Whatever a server
// answers is checked locally, so a parameter or filter that it ignores does no harm. Answers, also "none", are
// remembered for FieldMap.Companies.CacheMinutes, and all companies are read at most once in that time. A text that
// is not a NIP is nobody's.
//
// Who asks for a NIP that is being looked up waits for that answer. Where companies are looked up one by one and may
// also be read all at once ("scan"), that is done as soon as it costs no more than the look-ups made so far.
func (c *Client) FindCompanyByNIP(ctx context.Context, nip string) (CompanyMatch, error) {
	number, ok := polishNIP(nip)
	if !ok {
		return CompanyMatch{}, nil
	}
	ctx = orPriority(ctx, Low)
	for {
		if match, ok := c.companies.known(number, c.now()); ok {
			return match, nil
		}
		if match := c.companyScanned(number); match.exists() {
			return match, nil
		}
		under, mine := c.companies.begin(number, c.now())
		if mine {
			match, err := c.lookCompanyUp(ctx, number)
			c.companies.end(number, under, match, err, ctx.Err() != nil)
			return match, err
		}
		select {
		case <-under.done:
			if !under.cancelled {
				return under.match, forCaller(under.err)
			}
		case <-ctx.Done():
			return CompanyMatch{}, waitCancelled(ctx.Err())
		}
	}
}

// lookCompanyUp tries the ways in their order, unless reading all companies is cheaper by now.
func (c *Client) lookCompanyUp(ctx context.Context, nip string) (CompanyMatch, error) {
	if c.scansFirst() {
		match, err := c.companyByScan(ctx, nip)
		switch {
		case err == nil && match.exists():
			return match, nil
		case err == nil && c.companies.noneCounts(c.companyViews(), c.now()):
			c.companies.remember(nip, CompanyMatch{}, c.now().Add(c.ttl()))
			return CompanyMatch{}, nil
		case err != nil && !c.isUnsupported(err) && !isKind(err, NotSearchable):
			return CompanyMatch{}, err
		case err != nil:
			c.companies.scanInVain(c.now().Add(c.ttl()))
		}
	}
	operation := "find the company with NIP " + nip
	for _, way := range c.fields.Companies.Lookup {
		var match CompanyMatch
		var err error
		switch way {
		case lookupRegistration:
			c.companies.lookedUp()
			match, err = c.companyByRegistration(ctx, operation, nip)
		case lookupFilter:
			c.companies.lookedUp()
			match, err = c.companyByFilter(ctx, operation, nip)
		case lookupScan:
			match, err = c.companyByScan(ctx, nip)
		}
		if err != nil {
			return CompanyMatch{}, err
		}
		if match.exists() {
			c.companies.remember(nip, match, c.now().Add(c.ttl()))
			return match, nil
		}
	}
	c.companies.remember(nip, CompanyMatch{}, c.now().Add(c.ttl()))
	return CompanyMatch{}, nil
}

// scansFirst tells whether all companies were read lately, or should be by now.
func (c *Client) scansFirst() bool {
	return slices.Contains(c.fields.Companies.Lookup, lookupScan) && c.companies.scanPays(c.companyViews(), c.now())
}

func (m CompanyMatch) exists() bool { return m.Found || m.Ambiguous }

// companyByRegistration asks for the company by one of its registration numbers. That this look-up exists is known
// from an example only, so a refusal leads on to the next way, unless there is none.
func (c *Client) companyByRegistration(ctx context.Context, operation, nip string) (CompanyMatch, error) {
	for _, prefix := range c.fields.Companies.RegistrationPrefixes {
		answer, err := c.get(ctx, operation, "companies", []parameter{{c.fields.Query.Registration, prefix + nip}})
		switch {
		case isKind(err, NotFound):
			continue
		case c.isUnsupported(err) && c.hasOtherWay(lookupRegistration):
			return CompanyMatch{}, nil
		case err != nil:
			return CompanyMatch{}, err
		}
		found, ok := objects(answer, c.fields.Columns.ID)
		if !ok {
			if len(strings.TrimSpace(string(answer))) == 0 {
				continue
			}
			return CompanyMatch{}, badAnswer(operation, "the answer is neither a company nor a list of companies")
		}
		if match := choose(c.companiesWith(nip, found, false)); match.exists() {
			return match, nil
		}
	}
	return CompanyMatch{}, nil
}

// companyByFilter lets the suppliers' view, or that of all companies, be filtered by a configured expression.
func (c *Client) companyByFilter(ctx context.Context, operation, nip string) (CompanyMatch, error) {
	view := c.fields.Views.Suppliers
	if view == "" {
		view = c.fields.Views.Companies
	}
	q := c.companyQuery(view)
	q.filter = strings.ReplaceAll(c.fields.Companies.Filter, "{nip}", nip)
	q.pageSize = min(c.pageSize(), 50) // a filter that is ignored shows on one page
	page, err := c.readPage(ctx, operation, q)
	if err != nil {
		if c.isUnsupported(err) && c.hasOtherWay(lookupFilter) {
			return CompanyMatch{}, nil
		}
		return CompanyMatch{}, err
	}
	if err := c.showsColumns(operation, view, page.rows, c.disabledColumn()); err != nil {
		return CompanyMatch{}, err
	}
	return choose(c.companiesWith(nip, page.rows, view == c.fields.Views.Suppliers)), nil
}

// isUnsupported says whether an error may mean that the tenant has no such look-up, or a key without access to it.
func (c *Client) isUnsupported(err error) bool {
	e, ok := AsError(err)
	return ok && (e.refused() || e.Kind == NotFound || e.Kind == Forbidden || e.Status == 500 || e.Status == 501)
}

func (c *Client) hasOtherWay(way string) bool {
	return c.fields.Companies.Lookup[len(c.fields.Companies.Lookup)-1] != way
}

// companyByScan reads the suppliers' view, and that of all companies if no supplier fits, unless they were read
// within the cache's life.
func (c *Client) companyByScan(ctx context.Context, nip string) (CompanyMatch, error) {
	if err := c.companies.turn.take(ctx); err != nil {
		return CompanyMatch{}, err
	}
	defer c.companies.turn.give()
	views := c.companyViews()
	var unsupported error
	for i, view := range views {
		byNIP, fresh := c.companies.scan(view, c.now())
		if !fresh {
			started := c.now()
			var err error
			var rows, numbered int
			byNIP, rows, numbered, err = c.scanCompanies(ctx, view)
			if c.isUnsupported(err) && i+1 < len(views) {
				unsupported = err
				continue
			}
			if err != nil {
				return CompanyMatch{}, err
			}
			c.companies.keepScan(view, companyScan{
				byNIP: byNIP, rows: rows, numbered: numbered, requests: 1 + rows/c.pageSize(), until: started.Add(c.ttl()),
			}, views, c.now())
		}
		if match := choose(byNIP[nip]); match.exists() {
			return match, nil
		}
	}
	if unsupported != nil {
		c.log.WarnContext(ctx, "the view of suppliers cannot be read, all companies were looked through instead",
			"view", views[0], "error", unsupported)
	}
	return CompanyMatch{}, nil
}

// companyScanned looks into what was read lately, without a request.
func (c *Client) companyScanned(nip string) CompanyMatch {
	for _, view := range c.companyViews() {
		if byNIP, fresh := c.companies.scan(view, c.now()); fresh {
			if match := choose(byNIP[nip]); match.exists() {
				return match
			}
		}
	}
	return CompanyMatch{}
}

// companyViews are the views to look through, suppliers first.
func (c *Client) companyViews() []string {
	v := c.fields.Views
	if v.Suppliers == "" || v.Suppliers == v.Companies {
		return []string{v.Companies}
	}
	return []string{v.Suppliers, v.Companies}
}

// scanCompanies reads a whole view of companies into a table by NIP. It counts the rows, and those that have a NIP.
func (c *Client) scanCompanies(ctx context.Context, view string) (byNIP map[string][]companyRow, count, numbered int, err error) {
	operation := "read all companies of the view " + view
	byNIP = map[string][]companyRow{}
	rows := []object{}
	for row, err := range c.rows(ctx, operation, c.companyQuery(view)) {
		if err != nil {
			return nil, 0, 0, err
		}
		rows = append(rows, row)
	}
	if err := c.showsColumns(operation, view, rows, c.disabledColumn()); err != nil {
		return nil, 0, 0, err // a disabled company would count as enabled
	}
	for _, row := range rows {
		nips := c.nipsOf(row)
		if len(nips) > 0 {
			numbered++
		}
		company, ok := c.enabledCompany(row, view == c.fields.Views.Suppliers)
		if !ok {
			continue
		}
		for _, nip := range nips {
			byNIP[nip] = append(byNIP[nip], company)
		}
	}
	if len(rows) > 0 && numbered == 0 {
		c.log.WarnContext(ctx, "no company of the view has a NIP where the field map says: check companies.registrationPaths",
			"view", view, "rows", len(rows), "paths", c.fields.Companies.RegistrationPaths)
	}
	return byNIP, len(rows), numbered, nil
}

func (c *Client) companyQuery(view string) viewQuery {
	q := viewQuery{view: view, columns: []string{c.fields.Columns.ID, c.fields.Columns.Name}}
	if c.fields.Columns.Disabled != "" {
		q.columns = append(q.columns, c.fields.Columns.Disabled)
	}
	if c.fields.Columns.Supplier != "" {
		q.columns = append(q.columns, c.fields.Columns.Supplier)
	}
	for _, path := range c.fields.Companies.RegistrationPaths {
		first, rest, _ := strings.Cut(path, ".")
		if first == "properties" && rest != "" {
			q.properties = append(q.properties, rest)
		} else if !slices.Contains(q.columns, first) {
			q.columns = append(q.columns, first)
		}
	}
	return q
}

// disabledColumn tells enabled companies from disabled ones.
func (c *Client) disabledColumn() configuredColumn {
	return configuredColumn{c.fields.Columns.Disabled, "columns.disabled (or make it \"\" if this Teamogy shows enabled companies only)"}
}

// companiesWith are the enabled companies among the rows that have the NIP.
func (c *Client) companiesWith(nip string, rows []object, suppliers bool) []companyRow {
	var found []companyRow
	for _, row := range rows {
		if !slices.Contains(c.nipsOf(row), nip) {
			continue
		}
		if company, ok := c.enabledCompany(row, suppliers); ok {
			found = append(found, company)
		}
	}
	return found
}

func (c *Client) enabledCompany(row object, supplier bool) (companyRow, bool) {
	id, ok := row.id(c.fields.Columns.ID)
	if !ok || row.flag(c.fields.Columns.Disabled, "isDisabled") { // an entity has the documented name
		return companyRow{}, false
	}
	// The flag's name is not documented; either of these is taken where it comes without being asked for.
	supplier = supplier || row.flag(c.fields.Columns.Supplier, "isSupplier", "supplier")
	return companyRow{id: id, name: row.text(c.fields.Columns.Name), supplier: supplier}, true
}

func (c *Client) nipsOf(row object) []string {
	var nips []string
	for _, path := range c.fields.Companies.RegistrationPaths {
		for _, text := range row.texts(path) {
			if nip, ok := polishNIP(text); ok && !slices.Contains(nips, nip) {
				nips = append(nips, nip)
			}
		}
	}
	return nips
}

// choose takes the only company, or the only supplier.
func choose(found []companyRow) CompanyMatch {
	found = slices.Clone(found)
	slices.SortFunc(found, func(a, b companyRow) int { return int(min(1, max(-1, a.id-b.id))) })
	found = slices.CompactFunc(found, func(a, b companyRow) bool { return a.id == b.id })
	if len(found) > 1 {
		suppliers := slices.DeleteFunc(slices.Clone(found), func(r companyRow) bool { return !r.supplier })
		if len(suppliers) == 1 {
			found = suppliers
		}
	}
	switch len(found) {
	case 0:
		return CompanyMatch{}
	case 1:
		return CompanyMatch{ID: found[0].id, Name: found[0].name, Found: true}
	}
	match := CompanyMatch{Ambiguous: true}
	for _, r := range found {
		match.Candidates = append(match.Candidates, r.id)
	}
	return match
}

// polishNIP reads a NIP as people write it: ten digits, with spaces, dots or dashes, perhaps PL or NIP before it. Other
// letters make it another country's number, whose digits may well be ten.
func polishNIP(text string) (string, bool) {
	compact := strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\u00a0', '-', '.', '/', ':', '\u2011', '\u2013':
			return -1
		}
		return r
	}, strings.ToUpper(text))
	compact = strings.TrimPrefix(compact, "NIP")
	compact = strings.TrimPrefix(compact, "PL")
	if len(compact) != 10 || strings.Trim(compact, "0123456789") != "" {
		return "", false
	}
	return compact, true
}
