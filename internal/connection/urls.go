package connection

import (
	"net"
	"net/url"
	"strings"
)

// ksefURL returns KSEF_URL without a slash at its end, or "". It may be set with the environment test, or to
// this machine: real invoices shall not go to any other address than KSeF's by a slip.
func (r *reader) ksefURL(environment string) string {
	parsed := r.url("KSEF_URL", "http://127.0.0.1:8081/v2")
	switch {
	case parsed == nil:
		return ""
	case environment != "test" && environment != "" && !isLoopback(parsed):
		r.wrong("KSEF_URL", "is set to another machine with KSEF_ENVIRONMENT not test", "remove the line: each environment has its address")
		return ""
	case parsed.Path == "" || parsed.Path == "/":
		r.wrong("KSEF_URL", "has no path", "add the version of KSeF's interface: "+parsed.Scheme+"://"+parsed.Host+"/v2")
		return ""
	}
	return strings.TrimRight(parsed.String(), "/")
}

// teamogyURL returns TEAMOGY_URL without a slash at its end.
func (r *reader) teamogyURL() string {
	const example = "https://acme.teamogy.com"
	if _, ok := r.value("TEAMOGY_URL"); !ok {
		r.wrong("TEAMOGY_URL", "is missing", "write Teamogy's address, such as "+example)
		return ""
	}
	parsed := r.url("TEAMOGY_URL", example)
	switch {
	case parsed == nil:
		return ""
	case parsed.Path != "" && parsed.Path != "/":
		r.wrong("TEAMOGY_URL", "has a path", "write only the address, such as "+example+"; the unit is TEAMOGY_UNIT")
		return ""
	}
	return strings.TrimRight(parsed.String(), "/")
}

// url returns an address with https, or with http on this machine; nil if it is absent or wrong. An address
// that cannot be read is not quoted: there may be a password in it.
func (r *reader) url(variable, example string) *url.URL {
	value, ok := r.text(variable)
	if !ok || value == "" {
		return nil
	}
	parsed, err := url.Parse(value)
	switch {
	case err != nil || parsed.Opaque != "" || parsed.Hostname() == "" || parsed.Scheme != "https" && parsed.Scheme != "http":
		r.wrong(variable, "is no address that begins with https://", "write it as "+example)
	case parsed.User != nil:
		r.wrong(variable, "has a user name or a password in it", "remove what is before the @")
	case parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "" || strings.Contains(value, "#"):
		r.wrong(variable, "has a '?' or a '#' in it", "write it as "+example)
	case parsed.Scheme == "http" && !isLoopback(parsed):
		r.wrong(variable, "begins with http://", "write https://; plain http is only for this machine (127.0.0.1, localhost)")
	default:
		parsed.Host = strings.ToLower(parsed.Host)
		return parsed
	}
	return nil
}

// isLoopback says whether an address is on this machine.
func isLoopback(address *url.URL) bool {
	host := address.Hostname()
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func isLoopbackURL(address string) bool {
	parsed, err := url.Parse(address)
	return err == nil && isLoopback(parsed)
}
