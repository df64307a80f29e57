package ksefsim

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// authControls are the parts of the control API about log-ins: KSeF tokens,
// certificates and the ministry's keys.
func (s *Simulator) authControls() map[string]func(*http.Request) (any, error) {
	return map[string]func(*http.Request) (any, error){
		"POST /_sim/tokens":              s.simSetToken,
		"GET /_sim/tokens":               s.simTokens,
		"POST /_sim/certificates":        s.simCertificate,
		"POST /_sim/certificates/revoke": s.simRevokeCertificate,
		"POST /_sim/keys":                s.simKeys,
	}
}

// simSetToken makes a KSeF token known, or changes one that is: what is left
// out stays then.
func (s *Simulator) simSetToken(r *http.Request) (any, error) {
	var body struct {
		NIP         string      `json:"nip"`
		Context     *typedValue `json:"context"`
		Permissions *[]string   `json:"permissions"`
		Token       string      `json:"token"`
		Author      *typedValue `json:"author"`
		State       string      `json:"state"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	if body.NIP != "" {
		body.Context = &typedValue{"Nip", body.NIP}
	}
	if len(body.Token) > maxTokenLength {
		return nil, fmt.Errorf("token has %d characters: must be at most %d", len(body.Token), maxTokenLength)
	}
	if a := body.Author; a != nil && (!slices.Contains([]string{"Nip", "Pesel", "Fingerprint"}, a.Type) || a.Value == "") {
		return nil, fmt.Errorf("author %+v: type must be Nip, Pesel or Fingerprint and value must be there", *a)
	}
	if body.Permissions != nil {
		for _, p := range *body.Permissions {
			if !slices.Contains(ownerPermissions, p) {
				return nil, fmt.Errorf("permission %q: must be one of %q", p, ownerPermissions)
			}
		}
	}
	if body.State != "" && !slices.Contains(tokenStates, body.State) {
		return nil, fmt.Errorf("state %q: must be one of %q", body.State, tokenStates)
	}
	now := s.now()
	s.lock(now)
	defer s.mu.Unlock()
	t := &ksefToken{secret: body.Token, state: tokenActive, created: now}
	if known := s.ksefTokens[body.Token]; known != nil {
		t = known
	}
	if body.Context != nil {
		context, problem := readContext(body.Context.Type, body.Context.Value)
		if problem != "" {
			return nil, fmt.Errorf("context: %s", problem)
		}
		if context.kind != "Nip" && context.kind != "InternalId" {
			return nil, errors.New("context: KSeF tokens exist in contexts of Nip and InternalId only")
		}
		t.context = context
	}
	if t.context.kind == "" {
		return nil, errors.New("nip or context is missing")
	}
	if body.Permissions != nil {
		t.permissions = slices.Clone(*body.Permissions)
	}
	if body.State != "" {
		t.state = body.State
	}
	if body.Author != nil {
		t.author = subject{kind: body.Author.Type, value: body.Author.Value}
	}
	if t.author.kind == "" {
		t.author = subject{kind: "Nip", value: t.context.nip, seal: true}
	}
	if t.ref == "" {
		t.ref = newReference(kindToken, now)
	}
	if t.secret == "" {
		t.secret = t.ref + "|nip-" + t.context.nip + "|" + strings.ToLower(randomHex(32))
	}
	s.ksefTokens[t.secret] = t
	return map[string]any{"token": t.secret, "referenceNumber": t.ref}, nil
}

// simTokens lists the KSeF tokens without their secrets, oldest first.
func (s *Simulator) simTokens(*http.Request) (any, error) {
	s.lock(s.now())
	defer s.mu.Unlock()
	list := []map[string]any{}
	for _, t := range s.ksefTokens {
		item := map[string]any{
			"referenceNumber": t.ref, "context": typedValue{t.context.kind, t.context.value},
			"author": typedValue{t.author.kind, t.author.value}, "permissions": t.permissions, "state": t.state,
			"created": stamp(t.created), "lastUse": stampOrNil(t.lastUse),
		}
		list = append(list, item)
	}
	slices.SortFunc(list, func(a, b map[string]any) int {
		return strings.Compare(a["created"].(string)+a["referenceNumber"].(string), b["created"].(string)+b["referenceNumber"].(string)) //nolint:forcetypeassert // made above
	})
	return map[string]any{"tokens": list}, nil
}

// simCertificate issues a certificate of the simulator's own authority.
func (s *Simulator) simCertificate(r *http.Request) (any, error) {
	var body struct {
		NIP       string     `json:"nip"`
		PESEL     string     `json:"pesel"`
		Name      string     `json:"name"`
		Kind      string     `json:"kind"`
		Key       string     `json:"key"`
		Use       string     `json:"use"` // authentication, or offline for the signatures of QR codes
		ValidFrom *time.Time `json:"validFrom"`
		ValidTo   *time.Time `json:"validTo"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	for _, check := range []struct {
		name, value string
		pattern     *regexp.Regexp
	}{
		{"nip", body.NIP, nipPattern},
		{"pesel", body.PESEL, pesel},
	} {
		if check.value != "" && !check.pattern.MatchString(check.value) {
			return nil, fmt.Errorf("%s %q is none", check.name, check.value)
		}
	}
	for _, choice := range []struct {
		name, value string
		allowed     []string
	}{
		{"kind", body.Kind, []string{"seal", "person"}},
		{"key", body.Key, []string{"ec", "rsa"}},
		{"use", body.Use, []string{"authentication", "offline"}},
	} {
		if choice.value != "" && !slices.Contains(choice.allowed, choice.value) {
			return nil, fmt.Errorf("%s %q: must be one of %q", choice.name, choice.value, choice.allowed)
		}
	}
	if body.NIP == "" && body.PESEL == "" && body.Name == "" {
		return nil, errors.New("nip, pesel or name is missing: whose certificate shall it be?")
	}
	if body.Kind == "" {
		body.Kind = "person"
		if body.NIP != "" {
			body.Kind = "seal"
		}
	}
	name, err := certificateName(body.Kind, body.NIP, body.PESEL, body.Name)
	if err != nil {
		return nil, err
	}
	now := s.now()
	from, to := now.Add(-time.Hour), now.AddDate(2, 0, 0)
	if body.ValidFrom != nil {
		from = *body.ValidFrom
	}
	if body.ValidTo != nil {
		to = *body.ValidTo
	}
	if !to.After(from) {
		return nil, fmt.Errorf("validTo %s: must be later than validFrom %s", stamp(to), stamp(from))
	}
	usage := x509.KeyUsageDigitalSignature
	if body.Use == "offline" {
		usage = x509.KeyUsageContentCommitment
	}
	key, cert, err := s.authority.issue(name, usage, body.Key == "rsa", from, to)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write the key: %w", err)
	}
	return map[string]any{
		"certificatePem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})),
		"privateKeyPem":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"serial":         serialOf(cert), "fingerprint": strings.ToUpper(hexSHA256(cert.Raw)),
	}, nil
}

// simRevokeCertificate withdraws a certificate of the simulator's authority, or
// makes it good again.
func (s *Simulator) simRevokeCertificate(r *http.Request) (any, error) {
	var body struct {
		Serial string `json:"serial"`
		State  string `json:"state"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	states := []string{certificateRevoked, certificateSuspended, certificateActive}
	if body.State == "" {
		body.State = certificateRevoked
	}
	if !slices.Contains(states, body.State) {
		return nil, fmt.Errorf("state %q: must be one of %q", body.State, states)
	}
	known, err := s.authority.change(strings.ToUpper(body.Serial), func(i *issuedCertificate) error {
		i.state = body.State
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, fmt.Errorf("serial %q: no such certificate was issued by POST /_sim/certificates", body.Serial)
	}
	return done, nil
}

// simKeys changes the ministry's published keys.
func (s *Simulator) simKeys(r *http.Request) (any, error) {
	var body struct {
		Rotate string `json:"rotate"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	if err := s.keys.rotate(body.Rotate, s.now()); err != nil {
		return nil, err
	}
	list := []map[string]any{}
	for _, key := range s.keys.list() {
		list = append(list, map[string]any{"publicKeyId": key.id, "usage": key.usage, "validFrom": stamp(key.from)})
	}
	return map[string]any{"keys": list}, nil
}
