package ksefsim

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/beevik/etree"
)

// endless ends the process when what a target does goes on and on: nothing that
// a stranger sends may keep the simulator busy for long. It is to be deferred.
func endless() func() bool {
	return time.AfterFunc(time.Minute, func() { panic("it does not come to an end") }).Stop
}

// officialInvoices adds the official samples to a target, where they are.
func officialInvoices(f *testing.F) {
	root := os.Getenv("KSEF_REFERENCE")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared", "ksef")
	}
	paths, err := filepath.Glob(filepath.Join(root, "invoices", "official", "*.xml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}

// FuzzReadInvoice proves that reading keeps no more than it was given, that
// what passes as a file is UTF-8 without DOCTYPE, and that whatever was read can
// be shown in an answer of about the same size.
func FuzzReadInvoice(f *testing.F) {
	f.Add(fa3{}.xml())
	f.Add(fa3{head: "\xef\xbb\xbf", extra: "<Zalacznik/>"}.xml())
	f.Add(fa3{head: `<?xml version="1.0" encoding="iso-8859-2"?>`}.xml())
	f.Add(fa3{head: `<!doctype a [<!ENTITY b "c">]>`}.xml())
	f.Add(fa3{extra: "<?x y?><!-- c --><a:b xmlns:a='u' a:c='1'>\x80&#x85;&lt;</a:b>"}.xml())
	f.Add(bytes.Replace(fa3{}.xml(), []byte("<Rola>1"), []byte("<Rola>1e9"), 1))
	f.Add(bytes.Replace(fa3{}.xml(), []byte("<P_15>1230.00"), []byte("<P_15>-1E-9"), 1))
	f.Add([]byte("<a><" + strings.Repeat("b", 150_000) + ">" + strings.Repeat("<c></c>", 50_000) + "</" + strings.Repeat("b", 150_000) + "></a>"))
	f.Add([]byte(strings.Repeat("<a>", 70) + strings.Repeat("</a>", 70)))
	officialInvoices(f)
	sim, err := New(Config{Limits: LimitsOff})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		defer endless()()
		v, problem := readInvoice(data)
		kept := 0
		for _, text := range v.values {
			kept += len(text)
		}
		if kept > len(data) || len(v.values) > maxValuePaths || len(v.third) > len(data) || len(v.sections) > len(data) {
			t.Fatalf("%d bytes of text under %d paths from %d bytes", kept, len(v.values), len(data))
		}
		if checkFile(data, problem) == nil {
			if problem != nil || !utf8.Valid(data) || bytes.Contains(data, []byte("<!DOCTYPE")) || v.root.Local == "" {
				t.Fatalf("passed as a file: %v", problem)
			}
			sent := &sentInvoice{session: &session{form: formCode{"FA (3)", "1-0E", "FA"}}, invoice: v, sentAt: time.Now(), strictNIP: true}
			if sim.checkStructure(sent) == nil && (!validNIPChecksum(v.sellerNIP) || v.number == "" || invoiceTypes[v.kind] == "" || v.doctype) {
				t.Fatalf("passed as an invoice: %+v", v)
			}
		}
		r := sim.seeded(testNIP, seedInvoice{XML: data, KSeFNumber: newKSeFNumber(testNIP, time.Now())}, time.Now())
		r.number = newKSeFNumber(testNIP, r.acquired)
		if !bytes.Equal(r.document.bytes(), data) {
			t.Fatal("the bytes were changed")
		}
		shown, err := json.Marshal(metadataOf(r))
		if err != nil || len(shown) > 25_000+20*len(data) { // 1e9999 is an amount; &lt; is six bytes in JSON, a third subject more
			t.Fatalf("%d bytes of metadata from %d: %v", len(shown), len(data), err)
		}
	})
}

// fixedKey is the same in every process, as a target's seeds have to be.
func fixedKey(f *testing.F) *ecdsa.PrivateKey {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	return key
}

// FuzzVerifyXAdES proves that a signature by the key of the seeds is accepted
// over nothing but what that key signed, whatever is done to the document.
func FuzzVerifyXAdES(f *testing.F) {
	const challenge = "20261123-CR-0123456789-0123456789-01"
	key := fixedKey(f)
	seal := newCredentials(f, key, attribute(oidOrganizationID, "VATPL-"+testNIP))
	for l := official; l <= enveloping; l++ {
		good := signing{credentials: seal, nip: testNIP, challenge: challenge, layout: l}.document(f)
		f.Add(good)
		f.Add(bytes.Replace(good, []byte(testNIP+"<"), []byte("1111111111<"), 1))
		f.Add(bytes.Replace(good, []byte("<ContextIdentifier>"), []byte("<ContextIdentifier><!-- x -->"), 1))
		f.Add([]byte(`<AuthTokenRequest xmlns="` + authNamespaces[1] + `"><Challenge/>` + string(good) + `</AuthTokenRequest>`))
		f.Add(bytes.ReplaceAll(good, []byte(algExclusive), []byte(algC14N11)))
		f.Add(bytes.ReplaceAll(good, []byte(`URI=""`), []byte(`URI="#Signature"`)))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		if len(document) > maxAuthBody {
			return
		}
		defer endless()()
		signed, err := verifyXAdES(document)
		if err != nil {
			return
		}
		if !key.PublicKey.Equal(signed.certificate.PublicKey) {
			t.Fatal("somebody else's signature holds")
		}
		got, err := readAuthRequest(signed.request)
		if err != nil || got.challenge != challenge || got.context.kind != "Nip" || got.context.value != testNIP || got.byFingerprint || got.policy != nil {
			t.Fatalf("signed was something else than %+v: %v", got, err)
		}
	})
}

// FuzzReadAuthRequest proves that a request that passes holds identifiers of
// the contract's form, and that it says the same when it is written anew.
func FuzzReadAuthRequest(f *testing.F) {
	request := func(namespace, identifier, rest string) []byte {
		return []byte(`<?xml version="1.0"?><AuthTokenRequest xmlns="` + namespace + `"><Challenge>20261123-CR-0123456789-0123456789-01</Challenge>` +
			`<ContextIdentifier>` + identifier + `</ContextIdentifier><SubjectIdentifierType>certificateSubject</SubjectIdentifierType>` + rest + `</AuthTokenRequest>`)
	}
	f.Add(request(authNamespaces[0], "<Nip>5265877635</Nip>", ""))
	f.Add(request(authNamespaces[1], "<InternalId>5265877635-12345</InternalId>", "<!-- --><AuthorizationPolicy><AllowedIps><Ip4Address>10.0.0.1</Ip4Address>"+
		"<Ip4Range>10.0.0.1-10.0.0.9</Ip4Range><Ip4Mask>10.0.0.0/8</Ip4Mask></AllowedIps></AuthorizationPolicy>"))
	f.Add(request(authNamespaces[1], "<NipVatUe>5265877635-DE1</NipVatUe>", `<Signature xmlns="`+nsDSig+`"/>`))
	f.Add(request(authNamespaces[1], "<Nip>526<![CDATA[5877]]>635</Nip>", "<a xmlns:b='c' b:d='e'/>"))
	f.Add([]byte("\xef\xbb\xbf<a/><b/>"))
	challenge := regexp.MustCompile(`^[0-9]{8}-CR(-[0-9A-F]{10}){2}-[0-9A-F]{2}$`)
	f.Fuzz(func(t *testing.T, document []byte) {
		defer endless()()
		root, err := parseSigned(document)
		if err != nil {
			return
		}
		if !utf8.Valid(document) || root.Parent() == nil || len(root.Parent().ChildElements()) != 1 {
			t.Fatal("this is not one element of UTF-8")
		}
		got, err := readAuthRequest(root)
		if err != nil {
			return
		}
		if !challenge.MatchString(got.challenge) || len(got.context.nip) != 10 || !strings.HasPrefix(got.context.value, got.context.nip) ||
			len(got.context.value) != map[string]int{"Nip": 10, "InternalId": 16}[got.context.kind] || len(got.policy) > 3*maxAllowedIPs {
			t.Fatalf("passed: %+v", got)
		}
		for _, r := range got.policy {
			if !r.from.Is4() || !r.to.Is4() || r.to.Less(r.from) || !got.policy.allows(r.to.String()) {
				t.Fatalf("passed: %+v", got.policy)
			}
		}
		again := etree.NewDocument()
		again.SetRoot(root.Copy())
		written, err := again.WriteToBytes()
		if err != nil {
			t.Fatal(err)
		}
		root, err = parseSigned(written)
		if err != nil {
			t.Fatalf("%v: %s", err, written)
		}
		if same, err := readAuthRequest(root); err != nil || same.challenge != got.challenge || same.context != got.context || len(same.policy) != len(got.policy) {
			t.Fatalf("%+v and then %+v: %v", got, same, err)
		}
	})
}

// FuzzReadArchive proves that archives give no more than their bounds allow and
// no name that means a place, and the same however they are cut into parts.
func FuzzReadArchive(f *testing.F) {
	good := files(fa3{}, fa3{number: "2"})
	f.Add(zipOf(f, good...), false, 100)
	f.Add(tarGzOf(f, good...), true, 100)
	for _, name := range []string{"../b.xml", "/b.xml", `c:\b.xml`, "dir/b.xml", "...xml", "b.XML", "b.pdf", "\xff.xml", ".xml"} {
		f.Add(zipOf(f, packed{name, []byte("<a/>")}), false, 1)
		f.Add(tarGzOf(f, packed{name, []byte("<a/>")}), true, 1)
	}
	f.Add(zipOf(f, packed{"b.xml", make([]byte, 5000)}), false, 0)
	f.Add(zipOf(f, packed{"b.xml", nil}, packed{"b.xml", nil}), false, 0)
	f.Fuzz(func(t *testing.T, data []byte, tarGz bool, cut int) {
		defer endless()()
		bounds := archiveBounds{entries: 5, entryBytes: 4096, archiveBytes: int64(len(data))}
		unpack := func(parts ...[]byte) (map[string]string, error) {
			var archive partedFile
			for _, part := range parts {
				archive.append(part)
			}
			read := readZip
			if tarGz {
				read = readTarGz
			}
			found := map[string]string{}
			err := read(&archive, bounds, func(name string, content []byte) {
				if len(content) > bounds.entryBytes || len(found) == bounds.entries {
					t.Fatalf("%d bytes in file %d", len(content), len(found)+1)
				}
				if _, twice := found[name]; twice || !filepath.IsLocal(name) || filepath.Base(name) != name || strings.ContainsAny(name, "/\\:\x00") ||
					!utf8.ValidString(name) || !strings.EqualFold(filepath.Ext(name), ".xml") {
					t.Fatalf("the name %q", name)
				}
				found[name] = string(content)
			})
			return found, err
		}
		whole, err := unpack(data)
		at := min(max(cut, 0), len(data))
		parts, other := unpack(data[:at], data[at:])
		if (err == nil) != (other == nil) || len(whole) != len(parts) {
			t.Fatalf("%d files (%v), in parts %d (%v)", len(whole), err, len(parts), other)
		}
		for name, content := range whole {
			if parts[name] != content {
				t.Fatalf("%s differs in parts", name)
			}
		}

		seeds, err := readSeedArchive(bytes.NewReader(data))
		if (err == nil) == (len(seeds) == 0) {
			t.Fatalf("%d invoices, %v", len(seeds), err)
		}
	})
}
