package ksefsim

import (
	"net/http"
	"net/netip"
	"strings"
)

// maxAllowedIPs is how many entries of each kind a policy has at most.
const maxAllowedIPs = 10

// ipPolicy says from where the tokens of a log-in can be used: a list of
// ranges of IPv4 addresses. An empty one allows every address.
type ipPolicy []ipRange

type ipRange struct{ from, to netip.Addr }

// allows says whether calls may come from an address. One of IPv6 is on no
// list.
func (p ipPolicy) allows(ip string) bool {
	if len(p) == 0 {
		return true
	}
	address, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	address = address.Unmap()
	for _, r := range p {
		if address.Is4() && address.Compare(r.from) >= 0 && address.Compare(r.to) <= 0 {
			return true
		}
	}
	return false
}

// add puts an entry on the list and says whether it means something. The kind
// is that of the XML: Ip4Address, Ip4Range or Ip4Mask.
func (p *ipPolicy) add(kind, text string) bool {
	if pattern := allowedIPPatterns[kind]; pattern == nil || !pattern.MatchString(text) {
		return false
	}
	var r ipRange
	switch kind {
	case "Ip4Mask":
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return false
		}
		r.from = prefix.Masked().Addr()
		last := r.from.As4()
		for bit := prefix.Bits(); bit < 32; bit++ {
			last[bit/8] |= 0x80 >> (bit % 8)
		}
		r.to = netip.AddrFrom4(last)
	default:
		from, to, found := strings.Cut(text, "-")
		if !found {
			to = from
		}
		var err1, err2 error
		r.from, err1 = netip.ParseAddr(from)
		r.to, err2 = netip.ParseAddr(to)
		if err1 != nil || err2 != nil || r.to.Less(r.from) {
			return false
		}
	}
	*p = append(*p, r)
	return true
}

func ipNotAllowed(ip string) *failure {
	return &failure{
		status: http.StatusForbidden, reasonCode: "ip-not-allowed", detail: "Przy logowaniu dopuszczono inne adresy.",
		security: map[string]any{"clientIp": ip},
	}
}

// allowedIPs is an authorizationPolicy in JSON.
type allowedIPs struct {
	AllowedIPs *struct {
		Addresses []string `json:"ip4Addresses"`
		Ranges    []string `json:"ip4Ranges"`
		Masks     []string `json:"ip4Masks"`
	} `json:"allowedIps"`
}

// policy reads the list.
func (a *allowedIPs) policy() (ipPolicy, error) {
	var p ipPolicy
	if a == nil || a.AllowedIPs == nil {
		return nil, nil
	}
	for _, list := range []struct {
		name, kind string
		entries    []string
	}{
		{"ip4Addresses", "Ip4Address", a.AllowedIPs.Addresses},
		{"ip4Ranges", "Ip4Range", a.AllowedIPs.Ranges},
		{"ip4Masks", "Ip4Mask", a.AllowedIPs.Masks},
	} {
		if len(list.entries) > maxAllowedIPs {
			return nil, invalid("authorizationPolicy.allowedIps." + list.name + ": najwyżej " + itoa(maxAllowedIPs) + ".")
		}
		for _, entry := range list.entries {
			if !p.add(list.kind, entry) {
				return nil, invalid("authorizationPolicy.allowedIps." + list.name + ": niepoprawna wartość " + entry + ".")
			}
		}
	}
	return p, nil
}
