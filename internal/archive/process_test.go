package archive

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// childVariable tells a process that is the test binary what to do: "write" or "race".
const childVariable = "TEAMOGY_KSEF_ARCHIVE_CHILD"

// child does what a process of a test does to the archive at the URL in its first argument, with its
// second as its name.
func child(what string) int {
	a, err := Open(context.Background(), os.Args[1])
	if err == nil {
		switch what {
		case "write":
			err = childWrites(a, os.Args[2])
		case "race":
			err = childRaces(a, os.Args[2])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startChild starts a process; it is killed at the test's end, if it is still there.
func startChild(t *testing.T, what, address, name string) (process *exec.Cmd, input io.WriteCloser, output *bufio.Scanner) {
	t.Helper()
	process = exec.Command(os.Args[0], address, name)
	process.Env = append(os.Environ(), childVariable+"="+what)
	process.Stderr = os.Stderr
	input, err := process.StdinPipe()
	require.NoError(t, err)
	lines, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	t.Cleanup(func() { _ = process.Process.Kill(); _ = process.Wait() })
	return process, input, bufio.NewScanner(lines)
}

// written is what a writing child says of each thing that succeeded.
type written struct {
	Record RecordKey
	Name   string // of its fact
	SHA256 string // of its document
}

// largeText is unlike for unlike names, and too large to be written in one go by chance.
func largeText(name string) string { return strings.Repeat(name+" ", 20_000/len(name)) }

// childWrites adds documents, facts and index entries as fast as it can, and says of each when it is there.
func childWrites(a *Archive, name string) error {
	ctx := context.Background()
	for n := 0; ; n++ {
		w := written{Record: RecordKey{Connection: "acme", Direction: Sent, ID: fmt.Sprintf("%s/%d", name, n/4)}, Name: fmt.Sprintf("%s-%d", name, n)}
		ref, err := a.PutDocument(ctx, []byte(largeText(w.Name)))
		if err != nil {
			return err
		}
		w.SHA256 = ref.SHA256
		data, err := json.Marshal(largeText(w.Name))
		if err != nil {
			return err
		}
		if _, err := a.AddFact(ctx, w.Record, Fact{Kind: "submitted", Name: w.Name, At: time.Unix(int64(n+1), 0), Data: data}); err != nil {
			return err
		}
		if err := a.AddToIndex(ctx, w.Record, 2026, 11); err != nil {
			return err
		}
		line, err := json.Marshal(w)
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	}
}

// Processes that write without pause are killed with -9 at whatever call they are in, round after round.
// What they said was there is there and whole, and nothing is there in part.
func TestArchive_losesNothingWhenItsProcessIsKilledWhileWriting(t *testing.T) {
	const rounds, processes = 8, 2
	address, err := FileURL(t.TempDir())
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(1, 1))
	var said []written
	for round := range rounds {
		for p := range processes {
			process, _, output := startChild(t, "write", address, fmt.Sprintf("%d-%d", round, p))
			for range 1 + random.IntN(12) {
				require.True(t, output.Scan(), "%v", output.Err())
				var w written
				require.NoError(t, json.Unmarshal(output.Bytes(), &w))
				said = append(said, w)
			}
			require.NoError(t, process.Process.Kill())
			for output.Scan() { // what it said before it died
				var w written
				if json.Unmarshal(output.Bytes(), &w) == nil {
					said = append(said, w)
				}
			}
			_ = process.Wait()
		}
	}

	a, err := Open(t.Context(), address)
	require.NoError(t, err)
	indexed, err := a.Index(t.Context(), "acme", Sent, 2026, 11)
	require.NoError(t, err)
	for _, w := range said {
		facts, err := a.Facts(t.Context(), w.Record)
		require.NoError(t, err)
		found := false
		for _, fact := range facts {
			found = found || fact.Name == w.Name
		}
		require.True(t, found, "%+v is lost", w)
		document, err := a.Document(t.Context(), w.SHA256)
		require.NoError(t, err)
		require.Equal(t, largeText(w.Name), string(document))
		require.Contains(t, indexed, w.Record.ID)
	}
	requireWhole(t, a)
	t.Logf("%d processes killed after %d records", rounds*processes, len(said))
}

// requireWhole reads every object of an archive of childWrites.
func requireWhole(t *testing.T, a *Archive) {
	t.Helper()
	keys, err := a.store.List(t.Context(), "")
	require.NoError(t, err)
	for _, key := range keys {
		data, err := a.store.Read(t.Context(), key)
		require.NoError(t, err)
		switch root, rest, _ := strings.Cut(key, "/"); root {
		case "documents":
			_, err = a.Document(t.Context(), strings.ReplaceAll(rest, "/", ""))
			require.NoError(t, err)
		case "records":
			fact, err := decodeFact(key, data)
			require.NoError(t, err)
			var text string
			require.NoError(t, json.Unmarshal(fact.Data, &text))
			require.Equal(t, largeText(fact.Name), text)
		case "index":
			require.Empty(t, data)
		default:
			require.Fail(t, "what is this?", key)
		}
	}
}

const racedKeys = 60

// raced is what a racing child says of each key.
type raced struct {
	Key  string
	Won  bool
	Read string // whose bytes it found
}

func childRaces(a *Archive, name string) error {
	ctx := context.Background()
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	for n := range racedKeys {
		key := fmt.Sprintf("race/%d/%d", n/3, n)
		err := a.store.Create(ctx, key, []byte(largeText(name)))
		if err != nil && !errors.Is(err, ErrExists) {
			return err
		}
		won := err == nil
		data, err := a.store.Read(ctx, key)
		if err != nil {
			return err
		}
		whose, _, _ := bytes.Cut(data, []byte(" "))
		if string(data) != largeText(string(whose)) {
			return fmt.Errorf("%s has a part of an object: %d bytes", key, len(data))
		}
		if err := say(raced{key, won, string(whose)}); err != nil {
			return err
		}
		nip := fmt.Sprint(1_000_000_000 + n)
		err = a.ClaimReceiver(ctx, "test", nip, name)
		holder := name
		var taken *ReceiverTakenError
		if errors.As(err, &taken) {
			holder, err = taken.Holder, nil
		}
		if err != nil {
			return err
		}
		if err := say(raced{"receiver " + nip, holder == name, holder}); err != nil {
			return err
		}
	}
	return nil
}

func say(what any) error {
	line, err := json.Marshal(what)
	if err == nil {
		fmt.Println(string(line))
	}
	return err
}

// Several processes make the same objects at once, key after key: each has one winner, and all see the
// winner's bytes, whole. The same of claims to receive for one taxpayer.
func TestArchive_twoProcessesAtOnceHaveOneWinnerForEachKey(t *testing.T) {
	for _, backEnd := range backEnds {
		if backEnd.name != "file" && backEnd.name != "versitygw" {
			continue // the others are in this process's memory
		}
		t.Run(backEnd.name, func(t *testing.T) {
			const processes = 4
			address := backEnd.url(t)
			var inputs []io.WriteCloser
			var outputs []*bufio.Scanner
			for p := range processes {
				_, input, output := startChild(t, "race", address, fmt.Sprintf("process-%d", p))
				require.True(t, output.Scan(), "%v", output.Err())
				inputs, outputs = append(inputs, input), append(outputs, output)
			}
			for _, input := range inputs {
				_, err := io.WriteString(input, "go\n")
				require.NoError(t, err)
			}
			winners, seen := map[string][]string{}, map[string]map[string]int{}
			for p, output := range outputs {
				for output.Scan() {
					var r raced
					require.NoError(t, json.Unmarshal(output.Bytes(), &r))
					if r.Won {
						winners[r.Key] = append(winners[r.Key], fmt.Sprintf("process-%d", p))
					}
					if seen[r.Key] == nil {
						seen[r.Key] = map[string]int{}
					}
					seen[r.Key][r.Read]++
				}
			}
			require.Len(t, seen, 2*racedKeys)
			firsts := map[string]int{}
			for key, read := range seen {
				require.Len(t, winners[key], 1, key)
				require.Equal(t, map[string]int{winners[key][0]: processes}, read, key)
				firsts[winners[key][0]]++
			}
			t.Logf("winners: %v", firsts)
		})
	}
}

// What processes that were killed left behind takes no name and hinders nobody; it is what the page tells
// to remove.
func TestArchive_whatKilledProcessesLeaveIsOnlyTemporary(t *testing.T) {
	root := t.TempDir()
	address, err := FileURL(root)
	require.NoError(t, err)
	process, _, output := startChild(t, "write", address, "one")
	require.True(t, output.Scan(), "%v", output.Err())
	require.NoError(t, process.Process.Kill())
	_ = process.Wait()
	a, err := Open(t.Context(), address)
	require.NoError(t, err)
	keys, err := a.store.List(t.Context(), "")
	require.NoError(t, err)
	files := 0
	require.NoError(t, filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !strings.HasPrefix(entry.Name(), tempPrefix) {
			files++
		}
		return err
	}))
	require.Len(t, keys, files)
}
