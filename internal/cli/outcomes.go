package cli

import (
	"fmt"
	"io"
	"strings"

	"teamogy-ksef/internal/cli/launch"
)

// outcomes are what became of one connection's two polling workflows.
type outcomes struct {
	Connection string         `json:"connection"`
	Receive    launch.Outcome `json:"receive,omitempty"` // "" when it is not known
	Send       launch.Outcome `json:"send,omitempty"`
	Problem    string         `json:"problem,omitempty"`
}

// note adds why something did not work.
func (o *outcomes) note(err error) {
	o.Problem = strings.TrimPrefix(o.Problem+"\n"+err.Error(), "\n")
}

// print shows the outcomes to people; failed says in a word or two what the
// problem prevented.
func (o outcomes) print(w io.Writer, failed string) {
	if o.Receive != "" || o.Send != "" {
		fmt.Fprintf(w, "%s: receive %s, send %s\n", o.Connection, orUnknown(o.Receive), orUnknown(o.Send))
	}
	if o.Problem != "" {
		fmt.Fprintf(w, "%s: %s: %s\n", o.Connection, failed, indent(o.Problem))
	}
}

func orUnknown(o launch.Outcome) string {
	if o == "" {
		return "unknown"
	}
	return string(o)
}

// ending tells that a workflow was asked to end and has not been seen to.
func (o outcomes) ending() bool { return o.Receive == launch.Ending || o.Send == launch.Ending }

// indent keeps the lines of a longer text together under its title.
func indent(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}
