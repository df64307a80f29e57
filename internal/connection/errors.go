package connection

import (
	"fmt"
	"strings"
)

// Problem is one mistake in a settings file.
type Problem struct {
	Line     int    // from 1; 0 when it is about no line, such as a setting that is missing
	Variable string // "" when it is about no setting
	Wrong    string // what is wrong
	Remedy   string // what to do
}

// Errors says everything that is wrong with one connection's settings, in the order of the file. It never
// quotes a secret.
type Errors struct {
	Name     string // the connection
	File     string
	Problems []Problem
}

func (e *Errors) Error() string {
	var b strings.Builder
	if len(e.Problems) == 1 {
		fmt.Fprintf(&b, "the settings of the connection %s have a mistake:", e.Name)
	} else {
		fmt.Fprintf(&b, "the settings of the connection %s have %d mistakes:", e.Name, len(e.Problems))
	}
	for _, problem := range e.Problems {
		b.WriteString("\n  " + e.File + ":")
		if problem.Line > 0 {
			fmt.Fprintf(&b, "%d:", problem.Line)
		}
		if problem.Variable != "" {
			b.WriteString(" " + problem.Variable + ":")
		}
		b.WriteString(" " + problem.Wrong)
		if problem.Remedy != "" {
			b.WriteString("; " + problem.Remedy)
		}
	}
	return b.String()
}

// UnknownError says that there is no connection of this name.
type UnknownError struct {
	Name  string
	Dir   string   // where its file would have to be (CONNECTIONS_DIR)
	Known []string // the connections that there are
}

func (e *UnknownError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "there is no connection %q: no file %s.env in %s", e.Name, e.Name, e.Dir)
	if len(e.Known) == 0 {
		b.WriteString(", nor any other connection; is CONNECTIONS_DIR right?")
		return b.String()
	}
	if near := nearest(e.Name, e.Known); near != "" {
		fmt.Fprintf(&b, "; did you mean %s?", near)
	}
	const most = 20
	if len(e.Known) <= most {
		fmt.Fprintf(&b, " (known: %s)", strings.Join(e.Known, ", "))
	}
	return b.String()
}
