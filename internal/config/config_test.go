package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLoad_hasADefaultForEverySetting(t *testing.T) {
	want := Config{
		ConnectionsDir: "connections", ArchiveURL: "file:///var/lib/teamogy-ksef", SessionSecretFile: "/var/lib/teamogy-ksef/session.secret",
		TaskQueue: "teamogy-ksef", LogLevel: "info", LogFormat: "console",
	}
	for _, environment := range []map[string]string{
		{"PATH": "/bin"},
		{"CONNECTIONS_DIR": "", "ARCHIVE_URL": "", "SESSION_SECRET_FILE": "", "TASK_QUEUE": "", "LOG_LEVEL": "", "LOG_FORMAT": ""},
	} {
		c, err := load(environment)
		require.NoError(t, err)
		require.Equal(t, want, c)
	}
}

func TestLoad_readsTheProcessesEnvironment(t *testing.T) {
	want := Config{
		ConnectionsDir: "/etc/teamogy-ksef", ArchiveURL: "s3://bucket?region=eu-central-1", SessionSecretFile: "/run/secret",
		TaskQueue: "q", LogLevel: "debug", LogFormat: "json",
	}
	value := reflect.ValueOf(want)
	for i := range value.NumField() {
		t.Setenv(value.Type().Field(i).Tag.Get("env"), value.Field(i).String())
	}
	c, err := Load()
	require.NoError(t, err)
	require.Equal(t, want, c)
}

func TestLoad_putsTheSecretIntoTheArchivesFolder(t *testing.T) {
	c, err := load(map[string]string{"ARCHIVE_URL": "file:///srv/an%20archive"})
	require.NoError(t, err)
	require.Equal(t, "/srv/an archive/session.secret", c.SessionSecretFile)
}

func TestLoad_namesEveryWrongVariableInOneError(t *testing.T) {
	_, err := load(map[string]string{
		"CONNECTIONS_DIR": " x", "ARCHIVE_URL": "s3://bucket", "TASK_QUEUE": "q\n", "LOG_LEVEL": "loud", "LOG_FORMAT": "xml",
	})
	var problems *Error
	require.ErrorAs(t, err, &problems)
	require.Len(t, problems.Problems, 5)
	for i, variable := range []string{"CONNECTIONS_DIR", "TASK_QUEUE", "SESSION_SECRET_FILE", "LOG_LEVEL", "LOG_FORMAT"} {
		require.True(t, strings.HasPrefix(problems.Problems[i], variable+": "), problems.Problems[i])
	}
	fields := reflect.TypeFor[Config]()
	for i := range fields.NumField() {
		require.NotContains(t, err.Error(), fields.Field(i).Name, "a Go field says nothing to people")
	}
}

func TestLoad_saysWhatIsWrongWithTheArchivesURL(t *testing.T) {
	for address, wanted := range map[string]string{
		"/var/lib/x":           "not supported",
		"gs://bucket":          `"gs"`,
		"file://var/lib":       "three slashes",
		"s3://u:hunter2@b":     "password in it",
		"s3://u:hunter2@b c%%": "cannot be read",
		"file:///var/lib/x#\r": "a control character",
		"file:///var/lib/x ":   "a blank at its beginning or end",
	} {
		_, err := load(map[string]string{"ARCHIVE_URL": address, "SESSION_SECRET_FILE": "x"})
		require.ErrorContains(t, err, "ARCHIVE_URL: ", address)
		require.ErrorContains(t, err, wanted, address)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

type secret string

func (secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

func TestNewLogger_writesJSONAndAsksSecretsWhatTheyShow(t *testing.T) {
	var out bytes.Buffer
	logger, err := NewLogger(Config{LogLevel: "info", LogFormat: "json"}, &out)
	require.NoError(t, err)
	logger.Debug("hidden")
	logger.With("connection", "acme").WithGroup("g").Warn("hello", "secret", secret("hunter2"), "wait", 90*time.Second, "err", errors.New("broken"))
	require.NotContains(t, out.String(), "hidden")
	require.NotContains(t, out.String(), "hunter2")
	var entry map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &entry))
	require.Equal(t, "hello", entry["msg"])
	require.Equal(t, "warn", entry["level"])
	require.Equal(t, "acme", entry["connection"])
	require.Equal(t, map[string]any{"secret": "[redacted]", "wait": "1m30s", "err": "broken"}, entry["g"])
	require.NotContains(t, entry, "stacktrace")
	written, err := time.Parse(time.RFC3339, entry["time"].(string))
	require.NoError(t, err)
	require.Equal(t, time.UTC, written.Location())

	out.Reset()
	logger.Error("bad")
	require.Contains(t, out.String(), "stacktrace")
}

func TestNewLogger_writesOneLineForPeople(t *testing.T) {
	var out bytes.Buffer
	logger, err := NewLogger(Config{LogLevel: "warn", LogFormat: "console"}, &out)
	require.NoError(t, err)
	logger.Info("hidden")
	logger.Error("bad", "connection", "acme")
	require.Regexp(t, `^\d{4}-\d\d-\d\dT[0-9:.]+Z  ERROR  bad  \{"connection": "acme"\}\n$`, out.String())
	for _, c := range []Config{{LogLevel: "x", LogFormat: "json"}, {LogLevel: "info", LogFormat: "x"}} {
		_, err := NewLogger(c, &out)
		require.ErrorContains(t, err, `"x"`)
	}
}

func TestDocumentationAndExample_showEverySettingWithItsDefault(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "settings.md"))
	require.NoError(t, err)
	example, err := os.ReadFile(filepath.Join("..", "..", ".env.example"))
	require.NoError(t, err)
	environment := map[string]string{}
	for _, match := range regexp.MustCompile(`(?m)^#?([A-Z_]+)=(.*)$`).FindAllStringSubmatch(string(example), -1) {
		environment[match[1]] = match[2]
	}
	_, err = load(environment)
	require.NoError(t, err)
	fields := reflect.TypeFor[Config]()
	for i := range fields.NumField() {
		tag := fields.Field(i).Tag
		require.Contains(t, string(page), "`"+tag.Get("env")+"`")
		require.Contains(t, environment, tag.Get("env"))
		if def := tag.Get("envDefault"); def != "" {
			require.Equal(t, def, environment[tag.Get("env")])
			require.Contains(t, string(page), "`"+def+"`")
		}
	}
}
