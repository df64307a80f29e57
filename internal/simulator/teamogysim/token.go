package teamogysim

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// token is the API key with its limits. It is never changed in place.
type token struct {
	key     string // "" accepts any
	rights  rightSet
	ips     []string // addresses or ranges; none: any
	methods []string // none: any
	paths   []string // below the unit; a trailing * matches any rest; none: any
	expires time.Time
}

func newToken(c Config) (*token, error) {
	t := token{key: c.APIKey, rights: allRights(), ips: c.KeyIPs, methods: c.KeyMethods, paths: c.KeyPaths, expires: c.KeyExpires}
	if c.KeyRights != nil {
		var err error
		if t.rights, err = parseRights(c.KeyRights); err != nil {
			return nil, err
		}
	}
	return &t, t.check()
}

func (t *token) check() error {
	if _, err := parseRanges(t.ips); err != nil {
		return err
	}
	for _, m := range t.methods {
		if !slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPatch, "ALL"}, m) {
			return fmt.Errorf("methods: %q: want GET, POST, PATCH or ALL", m)
		}
	}
	for _, p := range t.paths {
		if !strings.HasPrefix(p, "/") {
			return fmt.Errorf(`paths: %q: want a path below /rest/v1/{unit}, such as "/documents" or "/views/*"`, p)
		}
	}
	return nil
}

// parseRanges reads addresses and ranges of addresses.
func parseRanges(texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range texts {
		if ip, err := netip.ParseAddr(text); err == nil {
			out = append(out, netip.PrefixFrom(ip, ip.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no address and no range: want such as 192.0.2.7, 10.0.0.0/8 or ::1", text)
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}

// callerIP is the address that a request comes from.
func callerIP(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap().WithZone("")
}

func mayCall(ranges []string, ip netip.Addr) bool {
	parsed, err := parseRanges(ranges)
	return err == nil && (len(parsed) == 0 || slices.ContainsFunc(parsed, func(p netip.Prefix) bool { return p.Contains(ip) }))
}

// bearer is the API key that a request carries.
func bearer(r *http.Request) string {
	key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if key == r.Header.Get("Authorization") {
		return ""
	}
	return key
}

// admit checks where a request comes from and its API key, and answers it when
// it may not go on.
func (s *Simulator) admit(a *answer, r *http.Request, set *settings) bool {
	s.mu.Lock()
	t := s.token
	s.mu.Unlock()
	key := bearer(r)
	switch {
	case !mayCall(set.AllowedIPs, callerIP(r)):
		a.fail(set.IPRefusalStatus, "the address %s is not allowed", callerIP(r))
	case key == "" || t.key != "" && key != t.key:
		a.Header().Set("WWW-Authenticate", "Bearer")
		a.fail(set.UnknownKeyStatus, "missing or unknown API key")
	case !t.expires.IsZero() && !s.clock.now().Before(t.expires):
		a.fail(set.UnknownKeyStatus, "the API key has expired")
	case !mayCall(t.ips, callerIP(r)):
		a.fail(set.IPRefusalStatus, "the API key is not for the address %s", callerIP(r))
	default:
		return true
	}
	return false
}

// inScope checks the method and the path against what the API key is made for.
func (s *Simulator) inScope(a *answer, method, path string, set *settings) bool {
	s.mu.Lock()
	t := s.token
	s.mu.Unlock()
	if len(t.methods) > 0 && !slices.Contains(t.methods, method) && !slices.Contains(t.methods, "ALL") {
		a.fail(set.ScopeRefusalStatus, "the API key is not for the method %s", method)
		return false
	}
	if len(t.paths) > 0 && !slices.ContainsFunc(t.paths, func(p string) bool { return matches(p, path) }) {
		a.fail(set.ScopeRefusalStatus, "the API key is not for %s", path)
		return false
	}
	return true
}

// tokenJSON is the API key as the control API shows it, without the key.
type tokenJSON struct {
	Rights    []string   `json:"rights"`
	IPs       []string   `json:"ips"`
	Methods   []string   `json:"methods"`
	Paths     []string   `json:"paths"`
	ExpiresAt *time.Time `json:"expiresAt"`
}

func (t *token) json() tokenJSON {
	out := tokenJSON{Rights: t.rights.names(), IPs: orEmpty(t.ips), Methods: orEmpty(t.methods), Paths: orEmpty(t.paths)}
	if !t.expires.IsZero() {
		out.ExpiresAt = &t.expires
	}
	return out
}

// controlToken changes what the API key may do and keeps what the body does not
// name. Rights are a list, "none", or "all" for what Teamogy's set-up page asks
// for; an empty list of ips, methods or paths removes that limit.
func (s *Simulator) controlToken(a *answer, r *http.Request) {
	var body struct {
		Rights    json.RawMessage `json:"rights"`
		IPs       *[]string       `json:"ips"`
		Methods   *[]string       `json:"methods"`
		Paths     *[]string       `json:"paths"`
		ExpiresAt json.RawMessage `json:"expiresAt"`
	}
	if !decodeControl(a, r, &body) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.token
	set(&next.ips, body.IPs)
	set(&next.methods, body.Methods)
	set(&next.paths, body.Paths)
	err := next.read(body.Rights, body.ExpiresAt)
	if err == nil {
		err = next.check()
	}
	if err != nil {
		a.fail(http.StatusBadRequest, "%v", err)
		return
	}
	s.token = &next
	a.json(http.StatusOK, next.json())
}

func (t *token) read(rights, expires json.RawMessage) error {
	switch string(rights) {
	case "":
	case `"none"`:
		t.rights = rightSet{}
	case `"all"`, "null":
		t.rights = allRights()
	default:
		var names []string
		err := json.Unmarshal(rights, &names)
		if err != nil {
			return fmt.Errorf(`rights: want "all", "none" or a list of %s`, strings.Join(rightNames(), ", "))
		}
		if t.rights, err = parseRights(names); err != nil {
			return err
		}
	}
	if expires != nil {
		t.expires = time.Time{}
		err := json.Unmarshal(expires, &t.expires)
		if err == nil {
			_, err = t.expires.MarshalJSON() // which refuses an offset of 24 hours that the other lets pass
		}
		if err != nil {
			return fmt.Errorf(`expiresAt: want a time such as "2026-12-01T00:00:00Z", or null for never`)
		}
	}
	return nil
}
