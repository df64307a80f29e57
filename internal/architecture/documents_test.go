package architecture

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// documents are the paths of what people read first.
func documents(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, pages, "docs has no page: mend the rule or the layout")
	return append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md"))
}

var (
	inlineCode = regexp.MustCompile("`[^`\n]*`")
	inlineLink = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	namedLink  = regexp.MustCompile(`(?m)^\[[^\]]+\]:\s+(\S+)`)
	ownAnchor  = regexp.MustCompile(`<a (?:id|name)="([^"]+)">`)
	linkedText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// withoutBlocks is a Markdown text without its code blocks.
func withoutBlocks(text string) string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inside = !inside
		} else if !inside {
			b.WriteString(line)
		}
	}
	return b.String()
}

// links are the targets of a Markdown text's links.
func links(text string) []string {
	text = inlineCode.ReplaceAllString(withoutBlocks(text), "")
	var targets []string
	for _, form := range []*regexp.Regexp{inlineLink, namedLink} {
		for _, found := range form.FindAllStringSubmatch(text, -1) {
			targets = append(targets, found[1])
		}
	}
	return targets
}

// anchors are what a link can point to in a Markdown text: its headings, named as
// GitHub does, and anchors of its own.
func anchors(text string) map[string]bool {
	text = withoutBlocks(text)
	named := map[string]bool{}
	for _, found := range ownAnchor.FindAllStringSubmatch(text, -1) {
		named[found[1]] = true
	}
	for line := range strings.Lines(text) {
		title := strings.TrimLeft(line, "#")
		if level := len(line) - len(title); level == 0 || level > 6 || !strings.HasPrefix(title, " ") {
			continue
		}
		title = linkedText.ReplaceAllString(strings.TrimSpace(title), "$1")
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, title)
		unique := name
		for n := 1; named[unique]; n++ {
			unique = fmt.Sprintf("%s-%d", name, n)
		}
		named[unique] = true
	}
	return named
}

// broken says what is wrong with a link of a page, or "".
func broken(page, target string) string {
	link, err := url.Parse(target)
	switch {
	case err != nil:
		return err.Error()
	case link.Scheme != "" || link.Host != "":
		return "" // elsewhere
	}
	path := page
	if link.Path != "" {
		path = filepath.Join(filepath.Dir(page), filepath.FromSlash(link.Path))
	}
	if inside, err := filepath.Rel(root, path); err != nil || !filepath.IsLocal(inside) {
		return "leads out of the project"
	}
	if _, err := os.Stat(path); err != nil {
		return "there is no such file"
	}
	if link.Fragment == "" {
		return ""
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if filepath.Ext(path) != ".md" || !anchors(string(content))[link.Fragment] {
		return "there is no such heading"
	}
	return ""
}

func TestDocuments_haveNoBrokenLink(t *testing.T) {
	checked := 0
	for _, page := range documents(t) {
		content, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, target := range links(string(content)) {
			checked++
			if wrong := broken(page, target); wrong != "" {
				t.Errorf("%s links to %s: %s", filepath.ToSlash(page), target, wrong)
			}
		}
	}
	require.NotZero(t, checked)
}

// The test above is only worth what it finds.
func TestDocuments_linksAndAnchorsAreRead(t *testing.T) {
	text := strings.ReplaceAll("# A `b`: [c](d.md) – E_f\n## Same\n## Same\n~~~sh\n# no heading [x](y)\n~~~\n<a id=\"own\"></a>\n"+
		"[two\nlines](a.md#b) and '[code](not.md)' and ['x'](c)\n\n[ref]: e.md\n", "'", "`")
	text = strings.ReplaceAll(text, "~~~", "```")
	require.Equal(t, []string{"d.md", "a.md#b", "c", "e.md"}, links(text))
	require.Equal(t, map[string]bool{"a-b-c--e_f": true, "same": true, "same-1": true, "own": true}, anchors(text))

	page := filepath.Join(root, "docs", "a.md")
	require.Empty(t, broken(page, "../README.md#dependencies"))
	require.Empty(t, broken(page, "https://example.org/none"))
	require.NotEmpty(t, broken(page, "../README.md#no-such-heading"))
	require.NotEmpty(t, broken(page, "none.md"))
	require.NotEmpty(t, broken(page, "../../outside"))
}

// directRequirements are the modules that go.mod requires for our own code.
func directRequirements(t *testing.T) []string {
	t.Helper()
	list := exec.Command("go", "mod", "edit", "-json")
	list.Dir = root
	answer, err := list.Output()
	require.NoError(t, err)
	var file struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	require.NoError(t, json.Unmarshal(answer, &file))
	var modules []string
	for _, r := range file.Require {
		if !r.Indirect {
			modules = append(modules, r.Path)
		}
	}
	return modules
}

// explained are the modules in the first column of the README's tables of
// dependencies.
func explained(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(content), "\n## Dependencies\n")
	require.True(t, found, "README.md has no section Dependencies")
	section, _, _ = strings.Cut(section, "\n## ")
	var modules []string
	for line := range strings.Lines(section) {
		row, isRow := strings.CutPrefix(line, "|")
		if !isRow {
			continue
		}
		cell, _, _ := strings.Cut(row, "|")
		for _, name := range inlineCode.FindAllString(cell, -1) {
			modules = append(modules, strings.Trim(name, "`"))
		}
	}
	return modules
}

func TestReadme_givesAReasonForEachDependencyAndNoOther(t *testing.T) {
	required, given := directRequirements(t), explained(t)
	require.NotEmpty(t, required)
	for _, module := range required {
		if !slices.Contains(given, module) {
			t.Errorf("go.mod requires %s, and README.md gives no reason for it", module)
		}
	}
	for n, module := range given {
		if !slices.Contains(required, module) {
			t.Errorf("README.md gives a reason for %s, which go.mod does not require", module)
		}
		if slices.Contains(given[:n], module) {
			t.Errorf("README.md gives two reasons for %s", module)
		}
	}
}
