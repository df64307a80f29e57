package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// format is what --output asks for.
type format string

const (
	forPeople   format = "text"
	forPrograms format = "json"
)

// String, Set and Type make format a flag's value.
func (f *format) String() string { return string(*f) }

// Set takes the flag's value.
func (f *format) Set(value string) error {
	switch format(value) {
	case forPeople, forPrograms:
		*f = format(value)
		return nil
	}
	return fmt.Errorf("%q is not text or json", value)
}

// Type names the flag's values in the help.
func (f *format) Type() string { return "text|json" }

// outputFlag adds --output to a command.
func outputFlag(cmd *cobra.Command) *format {
	f := forPeople
	cmd.Flags().VarP(&f, "output", "o", "for people (text) or for programs (json)")
	return &f
}

// writeJSON writes what --output json gives.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}
