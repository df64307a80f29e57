package demo

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"teamogy-ksef/internal/flow"
)

// introduce prints where to look and what to try.
func (d *demo) introduce() {
	d.say("the worker runs, and so do %s and %s of the connection %q", flow.ReceiveInvoices, flow.SendInvoices, Connection)
	lines := []string{
		"",
		"Watch:  Temporal Web UI   " + d.setup.WebUI,
		"        Teamogy           " + friendly(d.setup.TeamogyURL) + "/",
		"        KSeF simulator    " + friendly(d.setup.KSeFURL) + "/_sim/invoices",
		"Try:",
	}
	for _, c := range d.commands() {
		lines = append(lines, "        "+c)
	}
	lines = append(lines, "Files:  "+d.setup.Dir, "")
	if !d.o.Once {
		lines = append(lines, "Ctrl-C ends everything that the demo has started.", "")
	}
	for _, l := range lines {
		d.display.plainLine(l)
	}
}

// commands are three commands of the Temporal CLI that show something.
func (d *demo) commands() []string {
	cli := cliName(d.o.CLI, os.Getenv("PATH"))
	flags := ""
	if d.o.Ports.Temporal != FixedPorts().Temporal || os.Getenv("TEMPORAL_ADDRESS") != "" {
		flags = " --address " + d.setup.TemporalAddress
	}
	shown := flow.SendID(Connection)
	for _, i := range d.manifest {
		if i.End == Rejected {
			shown = i.workflowID() // the story of an invoice that fails
		}
	}
	return []string{
		cli + " workflow list" + flags + ` --query "` + flow.AttributeState.GetName() + "='" + flow.StateRejected + `'"`,
		cli + " workflow show" + flags + " --workflow-id " + shown,
		cli + " workflow query" + flags + " --workflow-id " + flow.ReceiveID(Connection) + " --type " + flow.QueryStatus,
	}
}

// cliName is how a person calls the Temporal CLI: by its name if that is the
// one on PATH, else by its path, relative to here if that is shorter.
func cliName(path, searchPath string) string {
	for _, folder := range filepath.SplitList(searchPath) {
		if folder == filepath.Dir(path) && filepath.Base(path) == "temporal" {
			return "temporal"
		}
	}
	if here, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(here, path); err == nil && len(relative) < len(path) {
			path = relative
		}
	}
	if strings.ContainsAny(path, " '\"$") {
		return strconv.Quote(path)
	}
	return path
}

// friendly writes the loopback address as localhost.
func friendly(url string) string {
	return strings.Replace(url, "http://127.0.0.1:", "http://localhost:", 1)
}
