package integration

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/simulator/samples"
)

// shellWords splits a text of shell commands into the words of each command:
// blanks, line breaks, comments, continued lines, single and double quotes.
// What a command line for people need not have (pipes, variables, several
// commands in a line) is refused, so that no command is run as something else.
func shellWords(text string) ([][]string, error) {
	var (
		commands [][]string
		words    []string
		word     strings.Builder
		inWord   bool
	)
	endWord := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	endCommand := func() {
		endWord()
		if len(words) > 0 {
			commands = append(commands, words)
		}
		words = nil
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			if text[i] != '\n' {
				word.WriteByte(text[i])
				inWord = true
			}
		case c == '\'' || c == '"':
			end := strings.IndexByte(text[i+1:], c)
			if end < 0 {
				return nil, fmt.Errorf("a %c is not closed", c)
			}
			quoted := text[i+1 : i+1+end]
			if c == '"' && strings.ContainsAny(quoted, "$`\\") {
				return nil, fmt.Errorf("%q: use single quotes", quoted)
			}
			word.WriteString(quoted)
			inWord = true
			i += end + 1
		case c == '#' && !inWord:
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case c == '\n':
			endCommand()
		case c == ' ' || c == '\t':
			endWord()
		case strings.IndexByte("|&;<>$`*?(){}", c) >= 0:
			return nil, fmt.Errorf("%q means something to a shell that this test does not know", c)
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	endCommand()
	return commands, nil
}

func TestReadme_wordsAreThoseOfAShell(t *testing.T) {
	for text, want := range map[string][][]string{
		"":                        nil,
		"# only this":             nil,
		"a b\n\n  c":              {{"a", "b"}, {"c"}},
		"a \\\n  b # c\nd":        {{"a", "b"}, {"d"}},
		`a '{"b": "c d"}' ''`:     {{"a", `{"b": "c d"}`, ""}},
		`a "it's" x'y'"z" b#c`:    {{"a", "it's", "xyz", "b#c"}},
		`a 'two` + "\n" + `rows'`: {{"a", "two\nrows"}},
		`a\ b c\'d`:               {{"a b", "c'd"}},
	} {
		got, err := shellWords(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"a 'b", "a | b", "a && b", "a $B", `a "$B"`, "a > b", "a <b>"} {
		_, err := shellWords(text)
		require.Error(t, err, text)
	}
}

// fenced gives the code blocks of a Markdown text that a reader may type: not
// those that are marked as something else than a shell's, such as what is to be
// seen on the screen.
func fenced(text string) []string {
	var blocks []string
	var block *strings.Builder
	var language string
	for line := range strings.Lines(text) {
		mark, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && block == nil:
			block, language = &strings.Builder{}, mark
		case fence:
			if slices.Contains([]string{"", "sh", "bash", "shell", "console"}, language) {
				blocks = append(blocks, block.String())
			}
			block = nil
		case block != nil:
			block.WriteString(line)
		}
	}
	return blocks
}

var temporalLine = regexp.MustCompile(`(?m)^\s*(\$ )?(\S*/)?temporal\s`)

// readmeCommands are the commands of the Temporal CLI in the README's code
// blocks, each once, in order.
func readmeCommands(t *testing.T, text string) [][]string {
	t.Helper()
	var commands [][]string
	for _, block := range fenced(text) {
		if !temporalLine.MatchString(block) {
			continue
		}
		for len(block) > 0 {
			// Only the lines of a temporal command go through the parser.
			line, rest, _ := strings.Cut(block, "\n")
			for strings.HasSuffix(line, "\\") || strings.Count(line, "'")%2 == 1 {
				next, after, more := strings.Cut(rest, "\n")
				line, rest = line+"\n"+next, after
				require.True(t, more || next != "", "README.md: %s does not end", line)
			}
			block = rest
			if !temporalLine.MatchString(line + "\n") {
				continue
			}
			parsed, err := shellWords(strings.TrimPrefix(strings.TrimSpace(line), "$ "))
			require.NoError(t, err, "README.md: %s", line)
			for _, words := range parsed {
				if !slices.ContainsFunc(commands, func(c []string) bool { return slices.Equal(c, words) }) {
					commands = append(commands, words)
				}
			}
		}
	}
	return commands
}

// commandLine is one command of the README, taken apart.
type commandLine struct {
	words []string
	verb  string // "workflow start"
	flags map[string]string
}

// withoutValue are the CLI's switches that the README may use.
var withoutValue = map[string]bool{"--follow": true, "-f": true, "--fail-existing": true, "--detailed": true, "--raw": true, "--event-details": true}

func parseCommand(words []string) commandLine {
	c := commandLine{words: words[1:], flags: map[string]string{}}
	long := map[string]string{"-w": "--workflow-id", "-i": "--input", "-t": "--task-queue", "-q": "--query", "-o": "--output", "--name": "--type"}
	var verb []string
	for i := 1; i < len(words); i++ {
		name, value, given := strings.Cut(words[i], "=")
		if !strings.HasPrefix(name, "-") {
			verb = append(verb, words[i])
			continue
		}
		if !given && !withoutValue[name] && i+1 < len(words) {
			i++
			value = words[i]
		}
		c.flags[cmp.Or(long[name], name)] = value
	}
	c.verb = strings.Join(verb, " ")
	return c
}

// readme is a bed whose connection is the README's own.
type readme struct {
	*bed
	polled       seededInvoice  // ReceiveInvoices finds it
	ready        issuedDocument // SendInvoices finds it
	single       seededInvoice  // only a start by hand brings it
	singleIssued issuedDocument // likewise
}

// readmeRan is set by the first run: the README's names exist once on a server.
var readmeRan atomic.Bool

func newReadme(t *testing.T) *readme {
	t.Helper()
	if !readmeRan.CompareAndSwap(false, true) {
		t.Skip("with -count: the README's workflow IDs are taken on this test's server by its first run")
	}
	b := newBed(t, func(o *bedOptions) { o.connection, o.queue = "acme", flow.DefaultTaskQueue })
	received := samples.GenerateReceived(b.sampleOptions(), 2)
	r := &readme{bed: b, polled: b.seedKSeF(b.nip, xmlOf(received[0].XML))[0], ready: b.seedReady("README/1", b.issued("README/1"))}
	// Visible to us as the seller, and polled for as the buyer only.
	r.single = b.seedKSeF(samples.NIP(41), xmlOf(b.issued("README/2")))[0]
	var out struct{ Documents []issuedDocument }
	b.control("POST", b.teamogyURL+"/_sim/seed", map[string]any{"documents": []map[string]any{
		{"type": "INVOICE.SALES", "status": "OPEN", "number": "README/3", "xml": b.issued("README/3")},
	}}, &out)
	r.singleIssued = out.Documents[0]
	return r
}

var (
	ksefNumberText = regexp.MustCompile(`<[^<>]*KSeF[^<>]*>|\d{10}-\d{8}-[0-9A-F]{12}-[0-9A-F]{2}`)
	documentText   = regexp.MustCompile(`("documentId": ?|acme/send/)(17|<[^<>]*>)`)
)

// filled puts a real KSeF number and document ID where the README has examples.
func (r *readme) filled(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		w = documentText.ReplaceAllString(w, "${1}"+itoa(r.singleIssued.ID))
		out[i] = ksefNumberText.ReplaceAllString(w, r.single.KSeFNumber)
	}
	return out
}

// temporal runs the real CLI as a user does who has set TEMPORAL_ADDRESS.
func (r *readme) temporal(words []string) string {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	run := exec.CommandContext(ctx, serverCLI, words...)
	home := r.TempDir()
	run.Dir = home
	run.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "TEMPORAL_") || strings.HasPrefix(v, "HOME=") || strings.HasPrefix(v, "XDG_")
	}), "HOME="+home, "TEMPORAL_ADDRESS="+server.FrontendHostPort(), "TEMPORAL_NAMESPACE="+namespace)
	output, err := run.CombinedOutput()
	require.NoError(r, err, "temporal %s\n%s", strings.Join(words, " "), output)
	r.Logf("temporal %s\n%s", strings.Join(words, " "), output)
	return string(output)
}

// after are the checks that follow a command, by its verb. A verb that is not
// here is a command that this test would not understand.
var after = map[string]func(r *readme, c commandLine, output string){
	"workflow start":          (*readme).started,
	"workflow query":          (*readme).answered,
	"workflow update execute": (*readme).updated,
	"workflow list":           (*readme).listed,
	"workflow count":          func(*readme, commandLine, string) {},
	"workflow show":           (*readme).shown,
	"workflow describe":       (*readme).described,
	"workflow result":         (*readme).ended,
	"workflow cancel":         (*readme).stops,
	"workflow terminate":      (*readme).stops,
}

func (r *readme) started(c commandLine, _ string) {
	id := c.flags["--workflow-id"]
	require.Equal(r, flow.DefaultTaskQueue, c.flags["--task-queue"])
	var input struct {
		Connection string
		KSeFNumber string
		DocumentID int64
	}
	require.NoError(r, json.Unmarshal([]byte(c.flags["--input"]), &input))
	require.Equal(r, r.connection, input.Connection)
	end := func(result any) {
		require.NoError(r, r.client.GetWorkflow(r.within(), id, "").Get(r.within(), result))
	}
	switch kind := c.flags["--type"]; kind {
	case flow.ReceiveInvoices:
		require.Equal(r, flow.ReceiveID(r.connection), id)
		r.eventually("the received invoice is in Teamogy", func() bool { return len(r.received(r.polled.KSeFNumber)) == 1 })
		require.NoError(r, r.client.GetWorkflow(r.within(), flow.ImportID(r.connection, r.polled.KSeFNumber), "").Get(r.within(), nil))
	case flow.SendInvoices:
		require.Equal(r, flow.SendID(r.connection), id)
		r.eventually("the ready invoice has its KSeF number", func() bool { return r.document(r.ready.ID).property("ksefNumber") != "" })
		require.NoError(r, r.client.GetWorkflow(r.within(), flow.SendInvoiceID(r.connection, r.ready.ID), "").Get(r.within(), nil))
	case flow.ImportInvoice:
		require.Equal(r, flow.ImportID(r.connection, input.KSeFNumber), id, "the starters would give another ID: the invoice could be imported twice at a time")
		var result flow.ImportResult
		end(&result)
		require.Len(r, r.received(input.KSeFNumber), 1)
		require.Equal(r, result.DocumentID, r.received(input.KSeFNumber)[0].ID)
	case flow.SendInvoice:
		require.Equal(r, flow.SendInvoiceID(r.connection, input.DocumentID), id, "the starters would give another ID: the invoice could be sent twice at a time")
		var result flow.SendResult
		end(&result)
		require.NotEmpty(r, result.KSeFNumber)
		require.Equal(r, result.KSeFNumber, r.document(input.DocumentID).property("ksefNumber"))
	default:
		require.Failf(r, "README.md starts a workflow that this test does not know", "%q", kind)
	}
}

func (r *readme) answered(c commandLine, output string) {
	require.Contains(r, output, r.connection, "the answer of %s is not about the connection", c.flags["--type"])
}

func (r *readme) updated(_ commandLine, output string) {
	require.NotContains(r, strings.ToLower(output), "failed")
}

func (r *readme) listed(c commandLine, _ string) {
	require.NotContains(r, c.flags["--query"], "<", "a placeholder that this test does not fill")
}

func (r *readme) shown(_ commandLine, output string) {
	require.Contains(r, output, "WorkflowExecutionStarted")
}

func (r *readme) described(c commandLine, output string) {
	require.Contains(r, output, c.flags["--workflow-id"])
}

func (r *readme) ended(c commandLine, _ string) {
	r.requireStatus(c.flags["--workflow-id"], enums.WORKFLOW_EXECUTION_STATUS_COMPLETED)
}

func (r *readme) stops(c commandLine, _ string) {
	r.eventually(c.flags["--workflow-id"]+" ends", func() bool { return !r.running(c.flags["--workflow-id"]) })
}

func (r *readme) requireStatus(id string, want enums.WorkflowExecutionStatus) {
	r.Helper()
	description, err := r.client.DescribeWorkflowExecution(r.within(), id, "")
	require.NoError(r, err)
	require.Equal(r, want, description.GetWorkflowExecutionInfo().GetStatus(), id)
}

// rank puts the starts first and what ends workflows last: the README may show
// its commands in any order.
func rank(c commandLine) int {
	switch c.verb {
	case "workflow start":
		return 0
	case "workflow cancel", "workflow terminate":
		return 2
	}
	return 1
}

// Every command of the Temporal CLI that the README shows works as it stands
// there; only example numbers are filled in.
func TestReadme_commandsWorkAsWritten(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	require.NoError(t, err)
	words := readmeCommands(t, string(text))
	require.NotEmpty(t, words, "README.md has no command of the Temporal CLI")

	r := newReadme(t)
	var commands []commandLine
	shown := map[string]bool{}
	for _, w := range words {
		c := parseCommand(r.filled(w))
		require.NotNil(t, after[c.verb], "README.md has a command that this test does not run: %s", strings.Join(w, " "))
		commands = append(commands, c)
		shown[c.verb], shown[c.verb+" "+c.flags["--type"]] = true, true
	}
	for _, must := range []string{
		"workflow start " + flow.ReceiveInvoices, "workflow start " + flow.SendInvoices, "workflow start " + flow.ImportInvoice, "workflow start " + flow.SendInvoice,
		"workflow query", "workflow update execute",
	} {
		require.True(t, shown[must], "README.md does not show temporal %s", must)
	}
	slices.SortStableFunc(commands, func(x, y commandLine) int { return cmp.Compare(rank(x), rank(y)) })
	for _, c := range commands {
		after[c.verb](r, c, r.temporal(c.words))
	}

	// The two that go on for ever end when they are asked to.
	for _, id := range []string{flow.ReceiveID(r.connection), flow.SendID(r.connection)} {
		if r.running(id) {
			require.NoError(t, r.client.CancelWorkflow(r.within(), id, ""))
			require.Error(t, r.client.GetWorkflow(r.within(), id, "").Get(r.within(), nil))
			r.requireStatus(id, enums.WORKFLOW_EXECUTION_STATUS_CANCELED)
		}
	}
	require.Len(t, r.received(r.polled.KSeFNumber), 1)
	require.Equal(t, 1, r.submissions(r.ready.SHA256))
	require.Equal(t, 1, r.submissions(r.singleIssued.SHA256))
}

func TestReadme_everyCommandOfTheCLIIsSeen(t *testing.T) {
	text := strings.ReplaceAll(`
~~~sh
make demo
temporal workflow list # all
temporal a \
  --b 'c
d'
~~~
~~~text
temporal workflow as on the screen | of a user
~~~
~~~
$ temporal workflow x --e=f -w g
temporal workflow list
~~~
`, "~~~", "```")
	commands := readmeCommands(t, text)
	require.Equal(t, [][]string{
		{"temporal", "workflow", "list"}, {"temporal", "a", "--b", "c\nd"}, {"temporal", "workflow", "x", "--e=f", "-w", "g"},
	}, commands)
	c := parseCommand(commands[2])
	require.Equal(t, "workflow x", c.verb)
	require.Equal(t, map[string]string{"--e": "f", "--workflow-id": "g"}, c.flags)
}
