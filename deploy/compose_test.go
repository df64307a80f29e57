// Package deploy checks the files of a deployment without Docker: the compose file against
// what the programs know, and its scripts against a real Temporal server.
package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/cli/simulators"
	"teamogy-ksef/internal/config"
	"teamogy-ksef/internal/devserver"
	"teamogy-ksef/internal/flow"
)

// jobs are the services that end by themselves.
var jobs = []string{"temporal-schema", "temporal-namespace"}

// temporalVariables are those that contrib/envconfig reads and this file may use.
var temporalVariables = []string{
	"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_API_KEY", "TEMPORAL_CONFIG_FILE", "TEMPORAL_PROFILE",
	"TEMPORAL_TLS", "TEMPORAL_TLS_CLIENT_CERT_PATH", "TEMPORAL_TLS_CLIENT_KEY_PATH",
	"TEMPORAL_TLS_SERVER_CA_CERT_PATH", "TEMPORAL_TLS_SERVER_NAME",
}

func project(t *testing.T, profiles ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../docker-compose.yml"}, cli.WithProfiles(profiles), cli.WithEnv(nil))
	require.NoError(t, err)
	loaded, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	return loaded
}

func TestCompose_hasTheServicesOfEachProfile(t *testing.T) {
	plain := []string{"postgres", "temporal", "temporal-namespace", "temporal-schema", "temporal-ui", "worker"}
	require.ElementsMatch(t, plain, project(t).ServiceNames())
	require.ElementsMatch(t, append(plain, "simulators"), project(t, "demo").ServiceNames())
}

func TestCompose_checksTheHealthOfEveryServiceThatStays(t *testing.T) {
	for name, service := range project(t, "demo").Services {
		if slices.Contains(jobs, name) {
			require.Nil(t, service.HealthCheck, name)
			require.True(t, strings.HasPrefix(service.Restart, "on-failure"), "%s runs once and repeats only a failure", name)
			continue
		}
		require.NotNil(t, service.HealthCheck, name)
		require.GreaterOrEqual(t, len(service.HealthCheck.Test), 2, name)
		require.Equal(t, "unless-stopped", service.Restart, name)
	}
}

// Packages of some GB pass through the worker's temporary folder: a tmpfs would
// keep them in memory, and a read-only root has no other place for them.
func TestCompose_keepsPackagesOnTheDisk(t *testing.T) {
	worker := project(t).Services["worker"]
	require.Empty(t, worker.Tmpfs)
	require.NotContains(t, worker.Environment, "TMPDIR", "the volume below is meant")
	i := slices.IndexFunc(worker.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == "/tmp" })
	require.GreaterOrEqual(t, i, 0)
	require.Equal(t, types.VolumeTypeVolume, worker.Volumes[i].Type)
	require.False(t, worker.Volumes[i].ReadOnly)
	dockerfile, err := os.ReadFile("../Dockerfile")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^COPY --from=build --chown=65532:65532 /out/tmp /tmp$`, string(dockerfile), "a new volume takes its owner from the image")
	require.Regexp(t, `(?m)^USER 65532:65532$`, string(dockerfile))
}

func TestCompose_startsInOrder(t *testing.T) {
	loaded := project(t, "demo")
	for name, service := range loaded.Services {
		for other, condition := range service.DependsOn {
			switch {
			case slices.Contains(jobs, other):
				require.Equal(t, types.ServiceConditionCompletedSuccessfully, condition.Condition, "%s -> %s", name, other)
			case name == "simulators":
				require.Equal(t, types.ServiceConditionStarted, condition.Condition, "they only share the worker's network")
			default:
				require.Equal(t, types.ServiceConditionHealthy, condition.Condition, "%s -> %s", name, other)
			}
		}
	}
	require.Contains(t, loaded.Services["temporal"].DependsOn, "temporal-schema")
	require.Contains(t, loaded.Services["worker"].DependsOn, "temporal-namespace")
}

func TestCompose_knowsEveryVariableOfOurPrograms(t *testing.T) {
	known := append(variablesOf(reflect.TypeFor[config.Config]()), temporalVariables...)
	require.Contains(t, known, "CONNECTIONS_DIR", "the variables of internal/config are found by their struct tags")
	known = append(known, simulators.KSeFVariable, simulators.TeamogyVariable)
	checked := 0
	for name, service := range project(t, "demo").Services {
		if service.Build == nil {
			continue
		}
		checked++
		for variable := range service.Environment {
			require.Contains(t, known, variable, "%s sets a variable that the program does not know", name)
		}
	}
	require.Equal(t, 2, checked, "worker and simulators are built from this repository")
}

// variablesOf lists the variables that the `env` tags of a struct name.
func variablesOf(configuration reflect.Type) []string {
	var names []string
	for i := range configuration.NumField() {
		field := configuration.Field(i)
		if field.Type.Kind() == reflect.Struct && field.Tag.Get("env") == "" {
			prefix := field.Tag.Get("envPrefix")
			for _, name := range variablesOf(field.Type) {
				names = append(names, prefix+name)
			}
			continue
		}
		if name, _, _ := strings.Cut(field.Tag.Get("env"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func TestCompose_pinsImagesAndKeepsSecretsOutOfTheEnvironment(t *testing.T) {
	version := regexp.MustCompile(`:[0-9]+\.[0-9.]+$`)
	secret := regexp.MustCompile(`(?i)password|pwd|secret|api_?key|token`)
	for name, service := range project(t, "demo").Services {
		if service.Build == nil {
			require.Regexp(t, version, service.Image, name)
		}
		for variable, value := range service.Environment {
			if secret.MatchString(variable) && !strings.HasSuffix(variable, "_FILE") {
				t.Errorf("%s gets the secret %s=%v by environment", name, variable, value)
			}
		}
		for _, port := range service.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, "%s is reachable from this machine only", name)
		}
	}
}

func TestCompose_mountsOnlyWhatIsThere(t *testing.T) {
	for name, service := range project(t, "demo").Services {
		for _, volume := range service.Volumes {
			if volume.Type != types.VolumeTypeBind || filepath.Base(volume.Source) == "connections" {
				continue
			}
			require.FileExists(t, volume.Source, name)
		}
	}
}

func TestNamespaceScript_preparesARealServerAndMayRunAgain(t *testing.T) {
	temporal, err := devserver.FindCLI("..")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	server, err := devserver.Start(t.Context(), devserver.Options{CLI: temporal, Headless: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })

	// In the image the CLI is on PATH as `temporal`.
	path := t.TempDir()
	require.NoError(t, os.Symlink(temporal, filepath.Join(path, "temporal")))
	environment := append(os.Environ(), "PATH="+path+string(os.PathListSeparator)+os.Getenv("PATH"),
		"TEMPORAL_ADDRESS="+server.HostPort(), "TEMPORAL_NAMESPACE=bookkeeping", "HOME="+path)
	run := func(name string, args ...string) string {
		command := exec.Command(name, args...)
		command.Env = environment
		said, err := command.CombinedOutput()
		require.NoError(t, err, "%s", said)
		return string(said)
	}
	for range 2 {
		run("sh", "namespace.sh")
	}
	attributes := run(temporal, "operator", "search-attribute", "list")
	for _, attribute := range flow.SearchAttributes {
		require.Contains(t, attributes, attribute)
	}
	require.Contains(t, run(temporal, "operator", "namespace", "describe", "--namespace", "bookkeeping"), "720h")
}
