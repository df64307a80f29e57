package archive

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"os"
	"slices"
	"strings"
)

// OpenExisting is Open for those who only look: it makes no folder, and where there is none it says so.
// (For a bucket that is not there, the first request does.)
func OpenExisting(ctx context.Context, address string) (*Archive, error) {
	if parsed, err := url.Parse(address); err == nil && parsed.Scheme == "file" {
		root, err := fileURLPath(parsed)
		if err != nil {
			return nil, err
		}
		if info, err := os.Stat(root); err != nil {
			return nil, fmt.Errorf("there is no archive: %w", err)
		} else if !info.IsDir() {
			return nil, fmt.Errorf("there is no archive: %s is no folder", root)
		}
	}
	return Open(ctx, address)
}

// RecordSummary is what the keys of a record say, without reading any of its facts.
type RecordSummary struct {
	Key   RecordKey
	Facts []FactName // sorted by their file names, which is no order in time
}

// FactName is a fact's kind and name, as its file's name has them.
type FactName struct {
	Kind string
	Name string
	// Cut says that the name is too long for a file's name: Name is then its beginning and a hash, as in
	// the file's name; the fact itself has the whole.
	Cut bool
}

// Has says whether the record has a fact of a kind.
func (s RecordSummary) Has(kind string) bool {
	return slices.ContainsFunc(s.Facts, func(f FactName) bool { return f.Kind == kind })
}

// Count is how many facts of a kind the record has.
func (s RecordSummary) Count(kind string) int {
	count := 0
	for _, f := range s.Facts {
		if f.Kind == kind {
			count++
		}
	}
	return count
}

// Connections returns the names of the connections that the archive knows, sorted: those whose binding is
// frozen and those that have records, whether or not they have a settings file any more.
func (a *Archive) Connections(ctx context.Context) ([]string, error) {
	names, err := a.folders(ctx, "records/")
	if err != nil {
		return nil, err
	}
	bindings, err := a.store.List(ctx, "bindings/")
	if err != nil {
		return nil, err
	}
	for _, key := range bindings {
		if name, ok := strings.CutSuffix(strings.TrimPrefix(key, "bindings/"), ".json"); ok {
			names = append(names, name)
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !connectionName.MatchString(name) })
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Records walks through the records of a connection and a direction by their keys alone: nothing is read,
// and one record at a time is held in memory. The order is the store's. A record that is created meanwhile
// may be missing.
//
// What cannot be a record's key comes as a *CorruptError beside the record that it lies in (as far as that
// is known), and the walk goes on; any other error is the last that comes. For example:
//
//	for record, err := range archive.Records(ctx, "acme", archive.Sent) { ... }
func (a *Archive) Records(ctx context.Context, connection string, direction Direction) iter.Seq2[RecordSummary, error] {
	return func(yield func(RecordSummary, error) bool) {
		if _, err := (RecordKey{connection, direction, "-"}).check(); err != nil {
			yield(RecordSummary{}, fmt.Errorf("list the records of the archive: %w", err))
			return
		}
		root := "records/" + connection + "/" + string(direction) + "/"
		var record RecordSummary
		folder, broken := "", error(nil)
		give := func() bool {
			if folder == "" {
				return true
			}
			slices.SortFunc(record.Facts, func(x, y FactName) int {
				return strings.Compare(x.Kind+"--"+x.Name, y.Kind+"--"+y.Name)
			})
			return yield(record, broken)
		}
		err := a.walk(ctx, root, func(key string) error {
			id, file, ok := strings.Cut(strings.TrimPrefix(key, root), "/")
			if !ok {
				id, file = "", id
			}
			if id != folder || id == "" {
				if !give() {
					return errStop
				}
				folder, broken = id, nil
				record = RecordSummary{Key: RecordKey{Connection: connection, Direction: direction}}
			}
			if id == "" { // beside the records' folders
				if !yield(record, &CorruptError{Key: key, Reason: "it lies in no record's folder"}) {
					return errStop
				}
				return nil
			}
			text, ok := unescape(id)
			record.Key.ID = text
			fact, named := parseFactFile(file)
			switch {
			case !ok:
				record.Key.ID, broken = id, &CorruptError{Key: key, Reason: "its folder is no ID of a record"}
			case !named:
				broken = &CorruptError{Key: key, Reason: "its name is no name of a fact"}
			default:
				record.Facts = append(record.Facts, fact)
			}
			return nil
		})
		switch {
		case errors.Is(err, errStop):
		case err != nil:
			yield(RecordSummary{}, err)
		default:
			give()
		}
	}
}

// errStop ends a walk that the caller has left.
var errStop = errors.New("the listing was left")

// parseFactFile is the inverse of factFile, as far as a cut name has one.
func parseFactFile(file string) (FactName, bool) {
	base, ok := strings.CutSuffix(file, ".json")
	if !ok {
		return FactName{}, false
	}
	kind, escaped, named := strings.Cut(base, "--")
	fact := FactName{Kind: kind}
	if named {
		if fact.Cut = strings.Contains(escaped, "~"); fact.Cut {
			fact.Name = escaped
		} else if fact.Name, ok = unescape(escaped); !ok || fact.Name == "" {
			return FactName{}, false
		}
	}
	return fact, factKind.MatchString(kind) && len(kind) <= maxFactKind
}

// walker is a Store that can list without holding all keys in memory. The keys of one folder come one after
// the other.
type walker interface {
	// walk calls visit for each key below a folder; an error of visit ends it and is returned.
	walk(ctx context.Context, folder string, visit func(key string) error) error
	// folders returns the names of the folders in a folder, sorted.
	folders(ctx context.Context, folder string) ([]string, error)
}

func (a *Archive) walk(ctx context.Context, folder string, visit func(key string) error) error {
	if w, ok := a.store.(walker); ok {
		return w.walk(ctx, folder, visit)
	}
	keys, err := a.store.List(ctx, folder)
	for _, key := range keys {
		if err := visit(key); err != nil {
			return err
		}
	}
	return err
}

func (a *Archive) folders(ctx context.Context, folder string) ([]string, error) {
	if w, ok := a.store.(walker); ok {
		return w.folders(ctx, folder)
	}
	keys, err := a.store.List(ctx, folder)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, key := range keys {
		if name, _, ok := strings.Cut(strings.TrimPrefix(key, folder), "/"); ok {
			names = append(names, name)
		}
	}
	return slices.Compact(names), nil
}
