package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "teamogy-ksef"

// pkg is what `go list` knows of one of our packages.
type pkg struct {
	ImportPath   string
	Imports      []string // of its code
	Deps         []string // of its code, indirect ones too
	TestImports  []string
	XTestImports []string
}

func packages(t *testing.T) map[string]pkg {
	t.Helper()
	list := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,Deps,TestImports,XTestImports", "./...")
	list.Dir = "../.."
	var complaints bytes.Buffer
	list.Stderr = &complaints
	answer, err := list.Output()
	require.NoError(t, err, "%s", complaints.String())
	found := map[string]pkg{}
	for decoder := json.NewDecoder(bytes.NewReader(answer)); ; {
		var p pkg
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(t, err)
		found[strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")] = p
	}
}

// under says whether a path is one of the given packages or lies below one.
func under(path string, parents ...string) bool {
	return slices.ContainsFunc(parents, func(parent string) bool {
		return path == parent || strings.HasPrefix(path, parent+"/")
	})
}

// own turns names of our packages into import paths.
func own(names ...string) []string {
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = module + "/" + name
	}
	return paths
}

// forbid fails for every one of the imports that is under a forbidden path and not under an allowed one.
func forbid(t *testing.T, who string, imports, forbidden, allowed []string) {
	t.Helper()
	for _, path := range imports {
		if under(path, forbidden...) && !under(path, allowed...) {
			t.Errorf("%s depends on %s, which it must not know", who, path)
		}
	}
}

// get returns a package that the rules name; one that is gone makes a rule empty.
func get(t *testing.T, all map[string]pkg, name string) pkg {
	t.Helper()
	p, found := all[name]
	require.True(t, found, "no package %s: mend the rule or the layout", name)
	return p
}

const temporal = "go.temporal.io"

func TestLeaves_knowNeitherTemporalNorEachOther(t *testing.T) {
	all := packages(t)
	for _, name := range []string{"ksef", "invoice", "teamogy", "archive", "connection", "sessionkey", "config", "together"} {
		name = "internal/" + name
		allowed := own(name)
		if name == "internal/teamogy" {
			allowed = own(name, "internal/together") // which knows nothing of what is asked
		}
		forbid(t, name, get(t, all, name).Deps, []string{temporal, module}, allowed)
	}
}

func TestFlow_isALeaf(t *testing.T) {
	forbid(t, "internal/flow", get(t, packages(t), "internal/flow").Deps, []string{module}, own("internal/flow"))
}

func TestSimulators_shareNoCodeWithWhatTheyTest(t *testing.T) {
	simulators := 0
	for name, p := range packages(t) {
		if !under(name, "internal/simulator") {
			continue
		}
		simulators++
		forbid(t, name, p.Deps, []string{temporal, module}, own("internal/simulator"))
		forbid(t, "the tests of "+name, slices.Concat(p.TestImports, p.XTestImports), []string{temporal, module}, own("internal/simulator"))
	}
	require.NotZero(t, simulators)
}

func TestWorkflows_seeOnlyFlowAndActivities(t *testing.T) {
	all := packages(t)
	p := get(t, all, "workflows")
	forbid(t, "workflows", p.Imports, []string{module}, own("internal/flow", "activities"))
	forbid(t, "workflows", p.Imports, []string{"os", "net", "syscall", "math/rand", "crypto/rand"}, nil)
}

func TestActivities_knowNothingThatIsAboveThem(t *testing.T) {
	p := get(t, packages(t), "activities")
	forbid(t, "activities", p.Deps, own("workflows", "worker", "starter", "internal/cli", "internal/simulator", "internal/devserver"), nil)
}

func TestInternal_doesNotPointUpwards(t *testing.T) {
	for name, p := range packages(t) {
		if !under(name, "internal") || under(name, "internal/cli") {
			continue
		}
		forbid(t, name, p.Deps, own("workflows", "activities", "worker", "starter", "internal/cli"), nil)
	}
}

func TestWorker_linksNoSimulatorAndNoTestLibrary(t *testing.T) {
	p := get(t, packages(t), "worker")
	forbid(t, "worker", p.Deps, own("internal/simulator", "internal/devserver", "internal/cli"), nil)
	forbid(t, "worker", p.Deps, []string{
		"github.com/getkin/kin-openapi", "github.com/russellhaering/goxmldsig", "github.com/beevik/etree",
		"github.com/compose-spec/compose-go", "pgregory.net/rapid",
	}, nil)
}
