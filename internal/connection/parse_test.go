package connection

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	password = `p"a ss=#'$HOME\n ` // literal, with a blank at its end
	apiKey   = "tk-0123456789abcdef"
	key      = "-----BEGIN PRIVATE KEY-----\nMIIcanary\n-----END PRIVATE KEY-----\n"
)

// credentialDir makes a folder with the files that settings point to.
func credentialDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"acme.crt": "certificate", "acme.key": key, "acme.password": password + "\r\n", "acme.apikey": "\ufeff" + apiKey + "\n",
		"fields.json": `{"views":{}}`, "empty": "", "twolines": "a\nb\n", "binary": "\xff\x00", "list.json": `[1`,
		"acme.p12": "\x30\x82\x01\x00\x02\x01\x03...", "acme.der": "\x30\x82\x01\x00\x30\x82...",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	return dir
}

// settings is a good file; each change is "KEY=VALUE" to set or "KEY" to remove one.
func settings(changes ...string) string {
	lines := []string{
		"NIP=5265877635", "KSEF_ENVIRONMENT=test", "KSEF_CERTIFICATE_FILE=acme.crt", "KSEF_PRIVATE_KEY_FILE=acme.key",
		"KSEF_PRIVATE_KEY_PASSWORD_FILE=acme.password", "TEAMOGY_URL=https://acme.teamogy.com", "TEAMOGY_API_KEY_FILE=acme.apikey",
		"RECEIVE=on", "RECEIVE_FROM=2026-02-01", "RECEIVE_OWNER=7",
		"SEND=on", "SEND_READY_STATUS=READY", "SEND_SENT_STATUS=SENT", "SEND_REJECTED_STATUS=REJECTED",
	}
	for _, change := range changes {
		variable, _, set := strings.Cut(change, "=")
		found := false
		for i, l := range lines {
			if strings.HasPrefix(l, variable+"=") {
				lines[i], found = "", true
				if set {
					lines[i] = change
				}
			}
		}
		if !found {
			lines = append(lines, change)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestParse_readsEverySettingWithItsDefault(t *testing.T) {
	dir := credentialDir(t)
	c, err := Parse("acme", []byte(settings()), dir)
	require.NoError(t, err)
	poland, err := time.LoadLocation("Europe/Warsaw")
	require.NoError(t, err)
	require.NotEmpty(t, c.Fingerprint())
	c.fingerprint = ""
	require.Equal(t, &Connection{
		Name: "acme", NIP: "5265877635", KSeFEnvironment: "test",
		CertificateFile: filepath.Join(dir, "acme.crt"), PrivateKeyFile: filepath.Join(dir, "acme.key"),
		Certificate: SecretBytes("certificate"), PrivateKey: SecretBytes(key), PrivateKeyPassword: Secret(password),
		TeamogyURL: "https://acme.teamogy.com", TeamogyUnit: 1, TeamogyAPIKey: apiKey, TeamogyRequestsPerMinute: 60,
		Receive: ReceiveOn, ReceiveInterval: time.Hour, ReceiveFrom: time.Date(2026, 2, 1, 0, 0, 0, 0, poland),
		ReceiveSubjects: []string{"buyer"}, ReceiveStatus: "IMPORTED", ReceiveOwner: 7,
		Send: true, SendInterval: 5 * time.Minute,
		SendTypes:       []string{"INVOICE.SALES", "INVOICE.SALES.CORRECTION", "INVOICE.SALES.PREPAYMENT"},
		SendReadyStatus: "READY", SendSentStatus: "SENT", SendRejectedStatus: "REJECTED", TimeScale: 1,
	}, c)
}

func TestParse_readsEverySettingThatIsSet(t *testing.T) {
	dir := credentialDir(t)
	file := "\ufeff# a comment\r\n\r\n" + strings.ReplaceAll(settings(
		"KSEF_ENVIRONMENT=production", "KSEF_URL=http://LOCALHOST:8081/v2/", "TIME_SCALE=60", "KSEF_PRIVATE_KEY_PASSWORD_FILE",
		"KSEF_PRIVATE_KEY_PASSWORD="+password, "KSEF_CERTIFICATE_FILE="+filepath.Join(dir, "acme.p12"), "KSEF_PRIVATE_KEY_FILE=",
		"TEAMOGY_URL=http://127.0.0.1:8082/", "TEAMOGY_UNIT=0", "TEAMOGY_API_KEY_FILE", "  TEAMOGY_API_KEY ="+apiKey, "TEAMOGY_FIELDS_FILE=fields.json",
		"RECEIVE=preview", "RECEIVE_INTERVAL=1h30m", "RECEIVE_SUBJECTS=seller, buyer,third,authorized", "RECEIVE_COMPANY=9",
		"RECEIVE_STATUS=OPEN", `RECEIVE_PROCESS={"id": 3}`, "RECEIVE_PARTICIPANTS=1, 2", "SEND=off", "SEND_INTERVAL=10s",
		"SEND_TYPES=INVOICE.SALES", "SEND_READY_STATUS", "TEAMOGY_REQUESTS_PER_MINUTE=1000",
	), "\n", "\r\n")
	c, err := Parse("acme", []byte(file), dir)
	require.NoError(t, err)
	require.Equal(t, "http://localhost:8081/v2", c.KSeFURL)
	require.InDelta(t, 60, c.TimeScale, 0)
	require.Equal(t, password, c.PrivateKeyPassword.Reveal())
	require.Empty(t, c.PrivateKeyFile)
	require.Nil(t, c.PrivateKey)
	require.Equal(t, "http://127.0.0.1:8082", c.TeamogyURL)
	require.Equal(t, 0, c.TeamogyUnit)
	require.Equal(t, apiKey, c.TeamogyAPIKey.Reveal())
	require.JSONEq(t, `{"views":{}}`, string(c.Fields))
	require.Equal(t, ReceivePreview, c.Receive)
	require.Equal(t, 90*time.Minute, c.ReceiveInterval)
	require.Equal(t, []string{"seller", "buyer", "third", "authorized"}, c.ReceiveSubjects)
	require.EqualValues(t, 9, c.ReceiveCompany)
	require.Equal(t, "OPEN", c.ReceiveStatus)
	require.Equal(t, `{"id": 3}`, string(c.ReceiveProcess))
	require.Equal(t, []int64{1, 2}, c.ReceiveParticipants)
	require.False(t, c.Send)
	require.Equal(t, 10*time.Second, c.SendInterval)
	require.Equal(t, []string{"INVOICE.SALES"}, c.SendTypes)
	require.Equal(t, 1000, c.TeamogyRequestsPerMinute)
}

func TestParse_needsNothingForADirectionThatIsOff(t *testing.T) {
	_, err := Parse("acme", []byte(settings("RECEIVE", "RECEIVE_FROM", "RECEIVE_OWNER", "SEND", "SEND_READY_STATUS", "SEND_SENT_STATUS", "SEND_REJECTED_STATUS")), credentialDir(t))
	require.NoError(t, err)
}

func TestParse_saysWhatIsWrongAndWhatToDo(t *testing.T) {
	dir := credentialDir(t)
	for change, wanted := range map[string]string{
		"NIP":                                            ": NIP: is missing; write",
		"NIP=5265877634":                                 ":1: NIP: \"5265877634\" is no NIP",
		"NIP=526-587-76-35":                              "without dashes",
		"NIP=0000000000":                                 "is no NIP",
		"NIP=526587763\u0665":                            "is no NIP",
		"NIP=5265877635 ":                                "blank at its beginning or end",
		`NIP="5265877635"`:                               "is in quotes",
		"NIP=526\x7f":                                    "control character",
		"NIP=\xff":                                       "is not UTF-8",
		"KSEF_ENVIRONMENT":                               "there is no default",
		"KSEF_ENVIRONMENT=prod":                          `"prod" is none of production, demo, test`,
		"KSEF_CERTIFICATE_FILE":                          "KSEF_CERTIFICATE_FILE: is missing",
		"KSEF_PRIVATE_KEY_FILE":                          "KSEF_PRIVATE_KEY_FILE: is missing",
		"KSEF_CERTIFICATE_FILE=x":                        `acme.env:3: KSEF_CERTIFICATE_FILE: the file "` + filepath.Join(dir, "x") + `" is not there`,
		"KSEF_CERTIFICATE_FILE=.":                        "is not a file",
		"KSEF_PRIVATE_KEY_FILE=x":                        "KSEF_PRIVATE_KEY_FILE: the file that it names is not there; write its name",
		"KSEF_PRIVATE_KEY_FILE=..":                       "cannot be read: it is not a file",
		"KSEF_PRIVATE_KEY_PASSWORD=x":                    "KSEF_PRIVATE_KEY_PASSWORD_FILE: is set, and so is KSEF_PRIVATE_KEY_PASSWORD",
		"KSEF_PRIVATE_KEY_PASSWORD_FILE=empty":           "is empty",
		"KSEF_PRIVATE_KEY_PASSWORD_FILE=twolines":        "more than one line",
		"KSEF_PRIVATE_KEY_PASSWORD_FILE=binary":          "not plain text",
		"KSEF_URL=http://ksef.example/v2":                "plain http is only for this machine",
		"KSEF_URL=https://127.0.0.1:8081":                "https://127.0.0.1:8081/v2",
		"KSEF_URL=ftp://127.0.0.1/v2":                    "is no address",
		"TEAMOGY_URL":                                    "TEAMOGY_URL: is missing",
		"TEAMOGY_URL=acme.teamogy.com":                   "is no address that begins with https://",
		"TEAMOGY_URL=http://acme.teamogy.com":            "plain http is only for this machine",
		"TEAMOGY_URL=http://127.0.0.1.evil.example":      "plain http is only for this machine",
		"TEAMOGY_URL=https://acme.teamogy.com/rest/v1/1": "the unit is TEAMOGY_UNIT",
		"TEAMOGY_URL=https://a.b?x":                      "has a '?'",
		"TEAMOGY_URL=https://a.b/#":                      "has a '?' or a '#'",
		"TEAMOGY_API_KEY_FILE":                           "TEAMOGY_API_KEY_FILE: is missing",
		"TEAMOGY_API_KEY_FILE=nothere":                   "is not there",
		"TEAMOGY_API_KEY_FILE=acme.password":             "no API key has",
		"TEAMOGY_UNIT=x":                                 "is no whole number",
		"TEAMOGY_UNIT=-1":                                "is out of bounds",
		"TEAMOGY_FIELDS_FILE=list.json":                  "is no JSON object (byte 2)",
		"TEAMOGY_FIELDS_FILE=empty":                      "is no JSON object",
		"TEAMOGY_REQUESTS_PER_MINUTE=0":                  "from 1 to 1000",
		"RECEIVE=yes":                                    "is none of on, off, preview",
		"RECEIVE_INTERVAL=15":                            "write a number with its unit",
		"RECEIVE_INTERVAL=14m59s":                        "write at least 15m: KSeF answers 20",
		"RECEIVE_INTERVAL=25h":                           "write at most 24h",
		"RECEIVE_FROM":                                   "RECEIVE_FROM: is missing; write the day from which on invoices are fetched",
		"RECEIVE_FROM=01.02.2026":                        "is no date",
		"RECEIVE_FROM=2026-02-30":                        "is no date",
		"RECEIVE_FROM=2002-02-01":                        "before KSeF existed",
		"RECEIVE_SUBJECTS=buyers":                        "is none of buyer, seller, third, authorized",
		"RECEIVE_SUBJECTS=buyer,buyer":                   "twice",
		"RECEIVE_SUBJECTS=buyer,,seller":                 "empty item",
		"RECEIVE_COMPANY=0":                              "of at least 1",
		"RECEIVE_COMPANY=99999999999999999999":           "is out of bounds",
		"RECEIVE_PROCESS={a}":                            "is no JSON (byte 2)",
		"RECEIVE_OWNER":                                  "RECEIVE_OWNER: is missing",
		"RECEIVE_OWNER=me":                               "is no whole number",
		"RECEIVE_PARTICIPANTS=1,me":                      `"me" is no number of a Teamogy user`,
		"SEND=true":                                      "is none of on, off",
		"SEND_INTERVAL=5s":                               "write at least 10s",
		"SEND_READY_STATUS":                              "SEND_READY_STATUS: is missing",
		"SEND_SENT_STATUS":                               "SEND_SENT_STATUS: is missing",
		"SEND_REJECTED_STATUS=":                          "SEND_REJECTED_STATUS: is missing",
		"SEND_SENT_STATUS=READY":                         "is the same as SEND_READY_STATUS",
		"TIME_SCALE=60":                                  "no simulator on this machine",
		"ONE_BY_ONE=25":                                  "no simulator on this machine",
		"ONE_BY_ONE=0":                                   "is no whole number from 1 to 1000",
		"TIME_SCALE=NaN":                                 "is no number from 1 to 10000",
		"TIME_SCALE=0.5":                                 "is no number from 1 to 10000",
		"TIME_SCALE=1e9":                                 "is no number from 1 to 10000",
		"RECIEVE_OWNER=8":                                "RECIEVE_OWNER: is no setting; did you mean RECEIVE_OWNER?",
		"KSEF_CERT_FILE=a":                               "did you mean KSEF_CERTIFICATE_FILE?",
		"PATH=/bin":                                      "PATH: is no setting; see docs/settings.md",
		"nip=1":                                          "did you mean NIP?",
		"export NIP=1":                                   "remove that word",
		"just words":                                     "has no '='",
		"=x":                                             "has no name",
		"TEAMOGY_UNIT=1\nTEAMOGY_UNIT=2":                 "is set twice, in line 15 already",
		"x\nKSEF_URL=https://ksef.example/v2\nKSEF_ENVIRONMENT=demo\nNIP=\x00": "looks like UTF-16",
	} {
		_, err := Parse("acme", []byte(settings(change)), dir)
		var problems *Errors
		require.ErrorAs(t, err, &problems, change)
		require.Len(t, problems.Problems, 1, "%s: %v", change, err)
		require.ErrorContains(t, err, wanted, change)
		require.ErrorContains(t, err, filepath.Join(dir, "acme.env")+":", change)
	}
	_, err := Parse("acme", []byte(settings("KSEF_ENVIRONMENT=demo", "KSEF_URL=https://ksef.example/v2")), dir)
	require.ErrorContains(t, err, "KSEF_ENVIRONMENT not test")
	_, err = Parse("acme", []byte(settings("KSEF_URL=https://ksef.example/v2")), dir)
	require.NoError(t, err)
	_, err = Parse("acme", []byte("\xff\xfeN\x00I\x00P\x00"), dir)
	require.ErrorContains(t, err, "save it as UTF-8")
	_, err = Parse("Acme Ltd", []byte(settings()), dir)
	require.ErrorContains(t, err, "the file's name is no connection's name")
	_, err = Parse("acme", []byte(settings("KSEF_CERTIFICATE_FILE=acme.der", "KSEF_PRIVATE_KEY_FILE")), dir)
	require.ErrorContains(t, err, "KSEF_PRIVATE_KEY_FILE: is missing")
}

func TestParse_namesEveryMistakeInOneErrorInTheOrderOfTheFile(t *testing.T) {
	file := "NIP=1\nKSEF_ENVIRONMENT=x\nRECEIVE=on\nSEND=on\nRECEIVE_INTERVAL=1\nTEAMOGY_URL=http://x.y\nTYPO\nNIP=2\nFOO=1\n"
	_, err := Parse("acme", []byte(file), "connections")
	var problems *Errors
	require.ErrorAs(t, err, &problems)
	var said []string
	for _, problem := range problems.Problems {
		said = append(said, fmt.Sprintf("%d %s", problem.Line, problem.Variable))
	}
	require.Equal(t, []string{
		"1 NIP", "2 KSEF_ENVIRONMENT", "5 RECEIVE_INTERVAL", "6 TEAMOGY_URL", "7 ", "8 NIP", "9 FOO",
		"0 KSEF_CERTIFICATE_FILE", "0 TEAMOGY_API_KEY_FILE", "0 RECEIVE_FROM", "0 RECEIVE_OWNER",
		"0 SEND_READY_STATUS", "0 SEND_SENT_STATUS", "0 SEND_REJECTED_STATUS",
	}, said)
	require.ErrorContains(t, err, "the settings of the connection acme have 14 mistakes:\n  connections/acme.env:1: NIP: \"1\" is no NIP")
}

func TestParse_neverQuotesASecret(t *testing.T) {
	dir := credentialDir(t)
	const secret = "Hunter2hunter2"
	for _, file := range []string{
		settings("KSEF_PRIVATE_KEY_PASSWORD=" + secret),
		settings("KSEF_PRIVATE_KEY_PASSWORD_FILE=" + secret),
		settings("KSEF_PRIVATE_KEY_FILE=" + secret),
		settings("TEAMOGY_API_KEY=" + secret),
		settings("TEAMOGY_API_KEY_FILE=" + secret),
		settings("TEAMOGY_API_KEY_FILE", "TEAMOGY_API_KEY=a "+secret),
		settings("TEAMOGY_URL=https://u:" + secret + "@acme.teamogy.com"),
		settings("TEAMOGY_URL=https://u:" + secret + "@acme teamogy.com/%"),
		settings("KSEF_URL=https://" + secret + "@127.0.0.1/v2"),
		settings("KSEF_PASWORD=" + secret),
		settings(secret), settings(secret + "="), settings(secret + "= "), settings("export " + secret + "=1"),
		settings("KSEF_PRIVATE_KEY_PASSWORD_FILE", "KSEF_PRIVATE_KEY_PASSWORD="+secret, "NIP=1"),
		settings("KSEF_PRIVATE_KEY_PASSWORD_FILE", "KSEF_PRIVATE_KEY_PASSWORD="+secret+"\nKSEF_PRIVATE_KEY_PASSWORD="+secret),
		settings("KSEF_PRIVATE_KEY_PASSWORD_FILE", "KSEF_PRIVATE_KEY_PASSWORD="+secret+"\xff"),
	} {
		_, err := Parse("acme", []byte(file), dir)
		require.Error(t, err, file)
		require.NotContains(t, err.Error(), secret)
	}
}

func TestConnection_neverShowsItsSecrets(t *testing.T) {
	c, err := Parse("acme", []byte(settings()), credentialDir(t))
	require.NoError(t, err)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		fmt.Fprintf(&out, verb+verb+verb+verb+verb, c, *c, c.PrivateKeyPassword, c.PrivateKey, []Secret{c.TeamogyAPIKey})
	}
	encoded, err := json.Marshal(c)
	require.NoError(t, err)
	out.Write(encoded)
	for _, logger := range []*slog.Logger{slog.New(slog.NewJSONHandler(&out, nil)), slog.New(slog.NewTextHandler(&out, nil))} {
		logger.Info("x", "connection", c, "value", *c, "secret", c.TeamogyAPIKey, "key", c.PrivateKey)
	}
	fmt.Fprint(&out, c.TeamogyAPIKey.String(), c.TeamogyAPIKey.GoString(), c.PrivateKey.String(), c.PrivateKey.GoString(), errors.New(fmt.Sprint(c.TeamogyAPIKey)))
	for _, secret := range []string{password, apiKey, "MIIcanary", "certificate"} {
		for _, shape := range []string{secret, hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))), strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]"), fmt.Sprintf("%#v", secret)} {
			require.False(t, strings.Contains(out.String(), shape), shape)
		}
	}
}

func TestReadLines_takesValuesLiterally(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]string{}
		var file strings.Builder
		file.WriteString(rapid.SampledFrom([]string{"", "\ufeff"}).Draw(t, "bom"))
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")
		keys := rapid.SliceOfDistinct(rapid.StringMatching(`[A-Z][A-Z0-9_]{0,10}`), rapid.ID[string]).Draw(t, "keys")
		for _, key := range keys {
			value := rapid.StringMatching(`[ -~ąę\t]{0,30}`).Draw(t, "value")
			want[key] = value
			file.WriteString(rapid.SampledFrom([]string{"", "# COMMENT=1" + end, end, "  " + end}).Draw(t, "before"))
			blank := rapid.SampledFrom([]string{"", " ", "\t"})
			file.WriteString(blank.Draw(t, "blank") + key + blank.Draw(t, "blank") + "=" + value + end)
		}
		lines, problems := readLines([]byte(file.String()))
		if len(problems) > 0 || len(lines) != len(want) {
			t.Fatalf("%d lines, %v", len(lines), problems)
		}
		for _, l := range lines {
			if want[l.key] != l.value {
				t.Fatalf("%s is %q, wanted %q", l.key, l.value, want[l.key])
			}
		}
	})
}

func TestIsNIP_findsEveryWrongDigit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nip := []byte("5265877635")
		i := rapid.IntRange(0, 9).Draw(t, "digit")
		nip[i] = byte(rapid.IntRange('0', '9').Draw(t, "value"))
		if isNIP(string(nip)) != (string(nip) == "5265877635") {
			t.Fatalf("%s", nip)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(settings()))
	f.Add([]byte(settings("TEAMOGY_API_KEY=x", "NIP=1", "RECEIVE_PROCESS={", "TIME_SCALE=x")))
	f.Add([]byte("\xef\xbb\xbfNIP = 1\r\n#\r\n=\nexport A=b\n"))
	f.Add([]byte("\xff\xfeN\x00"))
	dir := credentialDir(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		if bytes.Contains(file, []byte("/")) || bytes.Contains(file, []byte("..")) {
			return // no files from elsewhere
		}
		// A password that the file does not have otherwise is never in the error.
		const canary = "zCANARYz"
		if bytes.Contains(file, []byte(canary)) {
			return
		}
		file = append(file, "\nKSEF_PRIVATE_KEY_PASSWORD="+canary+"\n"+canary+"="+canary+"\n"...)
		c, err := Parse("acme", file, dir)
		if (c == nil) == (err == nil) {
			t.Fatalf("%v, %v", c, err)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Fatal(err)
		}
	})
}

func TestList_namesTheSettingsFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"beta.env", "acme.env", "Acme.env", "acme.env.example", ".env", ".acme.env.swp", "acme.key", ".x.env"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder.env"), 0o700))
	names, err := List(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"Acme", "acme", "beta"}, names)
	names, err = List(filepath.Join(dir, "none"))
	require.NoError(t, err)
	require.Empty(t, names)
}

// allSettings are the names of all settings, as Parse asks for them.
func allSettings(t *testing.T) []string {
	t.Helper()
	r := newReader(nil, t.TempDir())
	c := &Connection{}
	r.identity(c)
	r.ksef(c)
	r.teamogy(c)
	r.receiving(c)
	r.sending(c)
	r.timeScale(c)
	r.oneByOne(c)
	return r.known
}

func TestExample_isGoodAndShowsEverySetting(t *testing.T) {
	example, err := os.ReadFile(filepath.Join("..", "..", "connections", "acme.env.example"))
	require.NoError(t, err)
	dir := credentialDir(t)
	path := filepath.Join(dir, "acme.env")
	require.NoError(t, os.WriteFile(path, example, 0o600))
	_, err = ParseFile(path)
	require.NoError(t, err)
	for _, variable := range allSettings(t) {
		require.Regexp(t, `(?m)^#?`+variable+`=`, string(example))
	}
	// Every line that is commented out is a good one, too.
	for _, match := range regexp.MustCompile(`(?m)^#([A-Z_]+=.*)$`).FindAllStringSubmatch(string(example), -1) {
		extra := match[1]
		file := settings(extra)
		switch {
		case strings.HasPrefix(extra, "TIME_SCALE"), strings.HasPrefix(extra, "ONE_BY_ONE"):
			file = settings(extra, "KSEF_URL=http://127.0.0.1:8081/v2")
		case strings.HasPrefix(extra, "KSEF_PRIVATE_KEY_PASSWORD="), strings.HasPrefix(extra, "TEAMOGY_API_KEY="):
			variable, _, _ := strings.Cut(extra, "=")
			file = settings(extra, variable+"_FILE")
		}
		_, err := Parse("acme", []byte(file), dir)
		require.NoError(t, err, extra)
	}
}

func TestDocumentation_describesEverySetting(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "settings.md"))
	require.NoError(t, err)
	for _, variable := range allSettings(t) {
		require.Contains(t, string(page), "`"+variable+"`")
	}
}
