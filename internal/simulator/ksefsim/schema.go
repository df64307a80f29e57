package ksefsim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// schemaChecker validates invoices against the official FA(3) schema, which is
// no part of the simulator: whoever has it gives its path.
//
// It runs xmllint (libxml2). Of the validators at hand only libxml2's copes
// with the schema's large bounds of occurrence, its Go binding needs cgo, and
// the programs here are pure Go; a process of its own also keeps a hostile
// document away from the simulator's memory.
type schemaChecker struct {
	tool   string
	schema []byte        // with the imports pointing to local files
	turns  chan struct{} // bounds how many processes run at once
}

// Bounds of one run of xmllint.
const (
	schemaRunTime   = time.Minute
	maxSchemaDetail = 10
	maxSchemaFiles  = 500
)

var schemaLocation = regexp.MustCompile(`schemaLocation="([^"]+)"`)

// newSchemaChecker reads the schema and finds what it imports: beside it, or
// in the folder "bazowe" beside it, by the last part of the address that the
// schema names.
func newSchemaChecker(path string) (*schemaChecker, error) {
	tool, err := exec.LookPath("xmllint")
	if err != nil {
		return nil, fmt.Errorf("check invoices against %s: xmllint is not installed (Debian package libxml2-utils)", path)
	}
	schema, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the schema of FA(3): %w", err)
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("read the schema of FA(3): %w", err)
	}
	var missing error
	schema = schemaLocation.ReplaceAllFunc(schema, func(found []byte) []byte {
		location := string(schemaLocation.FindSubmatch(found)[1])
		name := location[strings.LastIndexByte(location, '/')+1:]
		for _, candidate := range []string{filepath.Join(folder, name), filepath.Join(folder, "bazowe", name)} {
			if _, err := os.Stat(candidate); err == nil {
				return []byte(`schemaLocation="` + escaped(candidate) + `"`)
			}
		}
		missing = errors.Join(missing, fmt.Errorf("%s imports %s, which is neither beside it nor in %s", path, location, filepath.Join(folder, "bazowe")))
		return found
	})
	if missing != nil {
		return nil, missing
	}
	c := &schemaChecker{tool: tool, schema: schema, turns: make(chan struct{}, 2)}
	// A schema that xmllint cannot read must show now, not at the first invoice.
	if _, err := c.run(context.Background(), [][]byte{[]byte("<x/>")}); err != nil {
		return nil, fmt.Errorf("use the schema %s: %w", path, err)
	}
	return c, nil
}

// check gives for each document what is wrong with it by the schema; nothing
// for a valid one. The documents must be well-formed.
func (c *schemaChecker) check(ctx context.Context, documents [][]byte) ([][]string, error) {
	c.turns <- struct{}{}
	defer func() { <-c.turns }()
	var all [][]string
	for len(documents) > 0 {
		n := min(len(documents), maxSchemaFiles)
		found, err := c.run(ctx, documents[:n])
		if err != nil {
			return nil, err
		}
		all, documents = append(all, found...), documents[n:]
	}
	return all, nil
}

var schemaMessage = regexp.MustCompile(`(?m)^(?:.*[/\\])?(\d+)\.xml:(\d+): (.*)$`)

func (c *schemaChecker) run(ctx context.Context, documents [][]byte) ([][]string, error) {
	folder, err := os.MkdirTemp("", "ksefsim-schema-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for xmllint: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }() // what stays is the system's to sweep
	arguments := []string{"--nonet", "--noout", "--schema", filepath.Join(folder, "schema.xsd")}
	err = os.WriteFile(filepath.Join(folder, "schema.xsd"), c.schema, 0o600)
	for i, document := range documents {
		name := filepath.Join(folder, strconv.Itoa(i)+".xml")
		err = errors.Join(err, os.WriteFile(name, document, 0o600))
		arguments = append(arguments, name)
	}
	if err != nil {
		return nil, fmt.Errorf("write files for xmllint: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, schemaRunTime)
	defer cancel()
	var out bytes.Buffer
	run := exec.CommandContext(ctx, c.tool, arguments...)
	run.Stdout, run.Stderr = &out, &out
	// 0: all valid; 3 and 4: some are not; 1: some are not well-formed.
	if err := run.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) || (exit.ExitCode() != 1 && exit.ExitCode() != 3 && exit.ExitCode() != 4) {
			return nil, fmt.Errorf("xmllint: %w: %s", err, firstLine(out.Bytes()))
		}
	}
	return readSchemaMessages(out.String(), len(documents))
}

// readSchemaMessages takes xmllint's output apart. A document of which it says
// nothing at all was not checked, and that is an error.
func readSchemaMessages(out string, documents int) ([][]string, error) {
	found := make([][]string, documents)
	for _, m := range schemaMessage.FindAllStringSubmatch(out, -1) {
		i, err := strconv.Atoi(m[1])
		if err != nil || i >= documents || len(found[i]) >= maxSchemaDetail {
			continue
		}
		text := regexp.MustCompile(`\{http[^}]*\}`).ReplaceAllString(m[3], "")
		if _, after, is := strings.Cut(text, "Schemas validity error : "); is {
			text = after
		}
		found[i] = append(found[i], "Linia "+m[2]+": "+text)
	}
	judged := strings.Count(out, ".xml validates\n") + strings.Count(out, ".xml fails to validate\n")
	if unread := strings.Count(out, "parser error"); judged < documents && unread == 0 {
		return nil, fmt.Errorf("xmllint judged %d of %d documents: %s", judged, documents, firstLine([]byte(out)))
	}
	return found, nil
}

func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return string(line)
}

// validate checks invoices that nothing was found wrong with yet against the
// official schema, where the simulator was given it. The lock must not be held.
func (s *Simulator) validate(ctx context.Context, invoices []*sentInvoice) error {
	if s.schema == nil {
		return nil
	}
	var checked []*sentInvoice
	var documents [][]byte
	for _, i := range invoices {
		if i.early == nil && i.session.form.SystemCode == "FA (3)" {
			checked, documents = append(checked, i), append(documents, i.plain)
		}
	}
	if len(documents) == 0 {
		return nil
	}
	found, err := s.schema.check(ctx, documents)
	if err != nil {
		return err
	}
	for n, problems := range found {
		if len(problems) > 0 {
			checked[n].early = &outcome{code: invoiceSemantics, details: problems}
		}
	}
	return nil
}
