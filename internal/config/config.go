// Package config reads the settings of the process itself from its environment. (Connections have files of
// their own, package connection; TEMPORAL_* belongs to Temporal's envconfig.) All settings are described in
// docs/settings.md.
package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/caarlos0/env/v11"
)

// Config is the process's own settings, complete and checked.
type Config struct {
	// ConnectionsDir is the folder of the connections' settings files.
	ConnectionsDir string `env:"CONNECTIONS_DIR" envDefault:"connections"`
	// ArchiveURL says where the archive is: file:///folder or s3://bucket?...
	ArchiveURL string `env:"ARCHIVE_URL" envDefault:"file:///var/lib/teamogy-ksef"`
	// SessionSecretFile is the file of the deployment's secret. By default it is session.secret in the
	// archive's folder; an archive that is no folder has no default.
	SessionSecretFile string `env:"SESSION_SECRET_FILE"`
	// TaskQueue is Temporal's task queue.
	TaskQueue string `env:"TASK_QUEUE" envDefault:"teamogy-ksef"`
	// LogLevel is debug, info, warn or error.
	LogLevel string `env:"LOG_LEVEL" envDefault:"info"`
	// LogFormat is console or json.
	LogFormat string `env:"LOG_FORMAT" envDefault:"console"`
}

// secretName is the default name of the secret's file within the archive's folder.
const secretName = "session.secret"

// Error says everything that is wrong with the process's settings.
type Error struct {
	Problems []string // each with the variable's name, what is wrong and what to do
}

func (e *Error) Error() string {
	return "the settings of this process are wrong:\n  " + strings.Join(e.Problems, "\n  ")
}

// Load reads the settings from the environment. An empty variable is the same as none. Everything that is
// wrong is in one *Error.
func Load() (Config, error) {
	return load(nil)
}

// load reads the settings from a given environment; nil is the process's.
func load(environment map[string]string) (Config, error) {
	c, err := env.ParseAsWithOptions[Config](env.Options{Environment: environment})
	if err != nil {
		return Config{}, fmt.Errorf("read the settings of this process: %w", err) // every field is text: it always parses
	}
	if problems := c.complete(); len(problems) > 0 {
		return Config{}, &Error{Problems: problems}
	}
	return c, nil
}

// complete fills in what depends on other settings and says what is wrong with any.
func (c *Config) complete() (problems []string) {
	wrong := func(variable, what string) {
		problems = append(problems, variable+": "+what)
	}
	text := func(variable, value string) (good bool) {
		good = value == strings.TrimSpace(value) && !strings.ContainsFunc(value, unicode.IsControl)
		if !good {
			wrong(variable, "has a blank at its beginning or end, or a control character in it; remove it")
		}
		return good
	}
	text("CONNECTIONS_DIR", c.ConnectionsDir)
	text("SESSION_SECRET_FILE", c.SessionSecretFile)
	text("TASK_QUEUE", c.TaskQueue)

	archive, err := url.Parse(c.ArchiveURL)
	switch {
	case err != nil || archive.User != nil: // only its scheme is ever quoted: there may be a password in it
		wrong("ARCHIVE_URL", "cannot be read, or has a password in it; write file:///var/lib/teamogy-ksef or s3://bucket?region=eu-central-1")
	case !text("ARCHIVE_URL", c.ArchiveURL): // package url lets them pass, a control character after # only
	case archive.Scheme == "file" && (archive.Host != "" || !strings.HasPrefix(archive.Path, "/")):
		wrong("ARCHIVE_URL", "has no absolute path; a file URL has three slashes, such as file:///var/lib/teamogy-ksef")
	case archive.Scheme == "file":
		if c.SessionSecretFile == "" {
			c.SessionSecretFile = filepath.Join(filepath.FromSlash(archive.Path), secretName)
		}
	case archive.Scheme == "s3" || archive.Scheme == "mem":
		if c.SessionSecretFile == "" {
			wrong("SESSION_SECRET_FILE", "is missing; with an archive that is no folder, name a file that is the same for all workers (it is made at first start)")
		}
	default:
		wrong("ARCHIVE_URL", fmt.Sprintf("begins with %q, which is not supported; write file:///folder or s3://bucket", archive.Scheme))
	}

	if _, ok := levels[c.LogLevel]; !ok {
		wrong("LOG_LEVEL", fmt.Sprintf("%q is none of debug, info, warn, error; write one of them", c.LogLevel))
	}
	if c.LogFormat != "console" && c.LogFormat != "json" {
		wrong("LOG_FORMAT", fmt.Sprintf("%q is none of console, json; write one of them", c.LogFormat))
	}
	return problems
}
