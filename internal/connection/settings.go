package connection

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // RECEIVE_FROM is a day in Poland, on every machine
	"unicode"
)

// Bounds and defaults of settings that have them; docs/settings.md says the same.
const (
	defaultReceiveInterval = time.Hour
	leastReceiveInterval   = 15 * time.Minute // 4 subject types, 4 times an hour, of 20 metadata queries
	defaultSendInterval    = 5 * time.Minute
	leastSendInterval      = 10 * time.Second
	mostInterval           = 24 * time.Hour
	defaultReceiveStatus   = "IMPORTED"
	defaultUnit            = 1
	mostUnit               = 1_000_000
	defaultRequests        = 60 // a minute, as Teamogy's own clients
	mostRequests           = 1000
	mostTimeScale          = 10_000
)

// defaultSendTypes are Teamogy's types of issued invoices.
func defaultSendTypes() []string {
	return []string{"INVOICE.SALES", "INVOICE.SALES.CORRECTION", "INVOICE.SALES.PREPAYMENT"}
}

func (r *reader) identity(c *Connection) {
	nip, ok := r.text("NIP")
	switch {
	case !ok:
		r.wrong("NIP", "is missing", "write the company's tax number, such as NIP=5265877635")
	case nip != "" && !isNIP(nip):
		r.wrong("NIP", shown(nip)+" is no NIP: ten digits, the last of which is a check digit", "write it without dashes, blanks and PL")
	}
	c.NIP = nip
	if _, ok := r.value("KSEF_ENVIRONMENT"); !ok {
		r.wrong("KSEF_ENVIRONMENT", "is missing", "write production, demo or test; there is no default, because an invoice in production is a legal document")
		return
	}
	c.KSeFEnvironment = r.choice("KSEF_ENVIRONMENT", "", "production", "demo", "test")
}

// isNIP checks the ten digits of a NIP and their check digit.
func isNIP(nip string) bool {
	if len(nip) != 10 || nip == "0000000000" {
		return false
	}
	sum := 0
	for i, weight := range [...]int{6, 5, 7, 2, 3, 4, 5, 6, 7, 0} {
		digit := int(nip[i]) - '0'
		if digit < 0 || digit > 9 {
			return false
		}
		sum += weight * digit
	}
	return sum%11 == int(nip[9]-'0') // a remainder of 10 is no digit: there is no such NIP
}

func (r *reader) ksef(c *Connection) {
	c.KSeFURL = r.ksefURL(c.KSeFEnvironment)

	certificate, ok := r.file("KSEF_CERTIFICATE_FILE", true)
	if _, set := r.value("KSEF_CERTIFICATE_FILE"); !set {
		r.wrong("KSEF_CERTIFICATE_FILE", "is missing", "name the file of the KSeF certificate")
	} else if ok && len(certificate) == 0 {
		r.wrong("KSEF_CERTIFICATE_FILE", "the file that it names is empty", "put the certificate there")
	}
	c.Certificate, c.CertificateFile = certificate, r.path("KSEF_CERTIFICATE_FILE")

	key, keyRead := r.file("KSEF_PRIVATE_KEY_FILE", false)
	if _, set := r.value("KSEF_PRIVATE_KEY_FILE"); !set && ok && !isPKCS12(certificate) {
		r.wrong("KSEF_PRIVATE_KEY_FILE", "is missing", "name the file of the private key (only a PKCS#12 certificate file has it in itself)")
	} else if keyRead && len(key) == 0 {
		r.wrong("KSEF_PRIVATE_KEY_FILE", "the file that it names is empty", "put the private key there")
	}
	c.PrivateKey, c.PrivateKeyFile = key, r.path("KSEF_PRIVATE_KEY_FILE")
	c.PrivateKeyPassword, _ = r.secret("KSEF_PRIVATE_KEY_PASSWORD")
}

func (r *reader) teamogy(c *Connection) {
	c.TeamogyURL = r.teamogyURL()
	c.TeamogyUnit = int(r.whole("TEAMOGY_UNIT", defaultUnit, 0, mostUnit))
	key, ok := r.secret("TEAMOGY_API_KEY")
	variable := "TEAMOGY_API_KEY"
	if _, inline := r.value(variable); !inline {
		variable = "TEAMOGY_API_KEY_FILE"
	}
	switch {
	case !ok:
		r.wrong("TEAMOGY_API_KEY_FILE", "is missing", "name the file of the API key of Teamogy's programmatic user (or write TEAMOGY_API_KEY=)")
	case strings.ContainsFunc(string(key), func(c rune) bool { return unicode.IsControl(c) || unicode.IsSpace(c) || c > unicode.MaxASCII }):
		r.wrong(variable, "has a blank or another character in it that no API key has", "copy the key again")
	}
	c.TeamogyAPIKey = key
	c.TeamogyRequestsPerMinute = int(r.whole("TEAMOGY_REQUESTS_PER_MINUTE", defaultRequests, 1, mostRequests))

	fields, ok := r.file("TEAMOGY_FIELDS_FILE", true)
	if !ok {
		return
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(fields, &object); err != nil || object == nil {
		r.wrong("TEAMOGY_FIELDS_FILE", "the file that it names is no JSON object"+place(err), "mend it")
		return
	}
	c.Fields = fields
}

// place says where JSON went wrong.
func place(err error) string {
	if syntax, ok := err.(*json.SyntaxError); ok { //nolint:errorlint // Unmarshal does not wrap it
		return " (byte " + strconv.FormatInt(syntax.Offset, 10) + ")"
	}
	return ""
}

func (r *reader) receiving(c *Connection) {
	c.Receive = r.choice("RECEIVE", ReceiveOff, ReceiveOn, ReceiveOff, ReceivePreview)
	c.ReceiveInterval = r.duration("RECEIVE_INTERVAL", defaultReceiveInterval, leastReceiveInterval, mostInterval,
		"KSeF answers 20 such queries an hour")

	from, ok := r.text("RECEIVE_FROM")
	switch {
	case ok && from != "":
		c.ReceiveFrom = r.day("RECEIVE_FROM", from)
	case !ok && c.Receive != ReceiveOff:
		r.wrong("RECEIVE_FROM", "is missing", "write the day from which on invoices are fetched, such as RECEIVE_FROM=2026-02-01; what KSeF got before that day is not fetched")
	}

	subjects, ok := r.list("RECEIVE_SUBJECTS")
	if !ok {
		subjects = []string{"buyer"}
	}
	for _, subject := range subjects {
		switch subject {
		case "buyer", "seller", "third", "authorized":
		default:
			r.wrong("RECEIVE_SUBJECTS", shown(subject)+" is none of buyer, seller, third, authorized", "write some of them with commas between them")
		}
	}
	c.ReceiveSubjects = subjects

	c.ReceiveCompany = r.whole("RECEIVE_COMPANY", 0, 1, math.MaxInt64)
	c.ReceiveStatus = r.textOr("RECEIVE_STATUS", defaultReceiveStatus)
	if process, ok := r.text("RECEIVE_PROCESS"); ok && process != "" {
		var any json.RawMessage
		if err := json.Unmarshal([]byte(process), &any); err != nil {
			r.wrong("RECEIVE_PROCESS", "is no JSON"+place(err), "write the process as JSON, in one line")
		} else {
			c.ReceiveProcess = any
		}
	}
	c.ReceiveOwner = r.whole("RECEIVE_OWNER", 0, 1, math.MaxInt64)
	if _, set := r.value("RECEIVE_OWNER"); !set && c.Receive != ReceiveOff {
		r.wrong("RECEIVE_OWNER", "is missing", "write the number of the Teamogy user who owns received invoices")
	}
	participants, _ := r.list("RECEIVE_PARTICIPANTS")
	for _, participant := range participants {
		id, err := strconv.ParseInt(participant, 10, 64)
		if err != nil || id < 1 {
			r.wrong("RECEIVE_PARTICIPANTS", shown(participant)+" is no number of a Teamogy user", "write numbers with commas between them")
			continue
		}
		c.ReceiveParticipants = append(c.ReceiveParticipants, id)
	}
}

// textOr returns a text, or its default.
func (r *reader) textOr(variable, otherwise string) string {
	if value, ok := r.text(variable); ok {
		return value
	}
	return otherwise
}

// day returns the beginning of a day in Poland.
func (r *reader) day(variable, value string) time.Time {
	poland, err := time.LoadLocation("Europe/Warsaw")
	if err != nil {
		poland = time.FixedZone("CET", 3600) // cannot happen: the zones are embedded
	}
	day, err := time.ParseInLocation(time.DateOnly, value, poland)
	if err != nil {
		r.wrong(variable, shown(value)+" is no date", "write year, month and day, such as 2026-02-01")
		return time.Time{}
	}
	if day.Year() < 2022 {
		r.wrong(variable, shown(value)+" is before KSeF existed", "write a day from 2022 on")
	}
	return day
}

func (r *reader) sending(c *Connection) {
	c.Send = r.choice("SEND", "off", "on", "off") == "on"
	c.SendInterval = r.duration("SEND_INTERVAL", defaultSendInterval, leastSendInterval, mostInterval,
		"Teamogy's quota of requests is limited")
	types, ok := r.list("SEND_TYPES")
	if !ok {
		types = defaultSendTypes()
	}
	c.SendTypes = types

	statuses := []struct {
		variable, of string
		field        *string
	}{
		{"SEND_READY_STATUS", "invoices that are ready to be sent", &c.SendReadyStatus},
		{"SEND_SENT_STATUS", "invoices that KSeF has accepted", &c.SendSentStatus},
		{"SEND_REJECTED_STATUS", "invoices that KSeF has rejected", &c.SendRejectedStatus},
	}
	for i, status := range statuses {
		value, ok := r.text(status.variable)
		if !ok && c.Send {
			r.wrong(status.variable, "is missing", "write the Teamogy status of "+status.of)
		}
		for _, other := range statuses[:i] {
			if value != "" && value == *other.field {
				r.wrong(status.variable, "is the same as "+other.variable, "choose different statuses: an invoice would be taken for the other kind")
			}
		}
		*status.field = value
	}
}

func (r *reader) timeScale(c *Connection) {
	c.TimeScale = 1
	value, ok := r.text("TIME_SCALE")
	if !ok || value == "" {
		return
	}
	scale, err := strconv.ParseFloat(value, 64)
	switch {
	case err != nil || math.IsNaN(scale) || scale < 1 || scale > mostTimeScale:
		r.wrong("TIME_SCALE", shown(value)+" is no number from 1 to 10000", "write one, or remove the line")
	case scale != 1 && !isLoopbackURL(c.KSeFURL):
		r.wrong("TIME_SCALE", "is not 1, but KSEF_URL is no simulator on this machine", "remove the line: towards the real KSeF it would break the request quotas")
	default:
		c.TimeScale = scale
	}
}

// mostOneByOne bounds ONE_BY_ONE: a session of single sends holds no more.
const mostOneByOne = 1000

func (r *reader) oneByOne(c *Connection) {
	value, ok := r.text("ONE_BY_ONE")
	if !ok || value == "" {
		return
	}
	most, err := strconv.Atoi(value)
	switch {
	case err != nil || most < 1 || most > mostOneByOne:
		r.wrong("ONE_BY_ONE", shown(value)+" is no whole number from 1 to 1000", "write one, or remove the line")
	case !isLoopbackURL(c.KSeFURL):
		r.wrong("ONE_BY_ONE", "is there, but KSEF_URL is no simulator on this machine", "remove the line: the real KSeF has quotas by which few or many is decided")
	default:
		c.OneByOne = most
	}
}
