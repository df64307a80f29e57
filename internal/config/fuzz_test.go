package config

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// FuzzLoad proves that settings of any content are either complete and good, or
// refused with one error that names each variable that is wrong and tells no
// password of the archive's URL.
func FuzzLoad(f *testing.F) {
	for _, s := range [][5]string{
		{"connections", "file:///var/lib/teamogy-ksef", "", "queue", "info"},
		{"a b", "s3://bucket?region=x", "/s", "", "debug"},
		{" a", "s3://zCANARYz:zCANARYz@bucket", "", "\x00", "Info"},
		{"", "file://a", "s\n", "q", ""},
		{"", "mem://", "s", "q", "error"},
		{"", "%zz", "", "", "warn"},
		{"", "FILE:///a?b#c", "", "", "warn"},
		{"", "FILE:/c#\r", "", "", ""}, // found by fuzzing: package url lets a control character pass after #
		{"", "file:zCANARYz@x", "", "", ""},
		{"", "file://x?zCANARYz@", "", "", ""},
		{"${HOME}", "file:///$(x)", "", "", "warn"},
	} {
		f.Add(s[0], s[1], s[2], s[3], s[4])
	}
	f.Fuzz(func(t *testing.T, connections, archive, secret, queue, level string) {
		c, err := load(map[string]string{
			"CONNECTIONS_DIR": connections, "ARCHIVE_URL": archive, "SESSION_SECRET_FILE": secret, "TASK_QUEUE": queue, "LOG_LEVEL": level,
		})
		if err != nil {
			var problem *Error
			if !errors.As(err, &problem) || len(problem.Problems) == 0 {
				t.Fatalf("no good error: %v", err)
			}
			for _, p := range problem.Problems {
				if variable, _, found := strings.Cut(p, ": "); !found || variable != strings.ToUpper(variable) {
					t.Fatalf("it names no variable: %q", p)
				}
			}
			if strings.Contains(archive, "@") && strings.Contains(err.Error(), "zCANARYz") && !strings.Contains(connections+secret+queue+level, "zCANARYz") && !strings.HasPrefix(archive, "zCANARYz") {
				t.Fatalf("it tells a password: %v", err)
			}
			return
		}
		for _, value := range []string{c.ConnectionsDir, c.ArchiveURL, c.SessionSecretFile, c.TaskQueue, c.LogLevel, c.LogFormat} {
			if value == "" || value != strings.TrimSpace(value) {
				t.Fatalf("passed with %q", value)
			}
		}
		if strings.ContainsFunc(c.ConnectionsDir+c.ArchiveURL+c.TaskQueue, unicode.IsControl) || secret == "" && !filepath.IsAbs(c.SessionSecretFile) {
			t.Fatalf("passed with %+v", c)
		}
	})
}
