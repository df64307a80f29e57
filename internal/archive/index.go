package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// AddToIndex enters a record in the index of a month: for a received invoice the Warsaw month of its KSeF
// number, for a sent one that of its date of issue (P_1). Again is no error.
func (a *Archive) AddToIndex(ctx context.Context, record RecordKey, year, month int) error {
	id, err := record.check()
	if err != nil {
		return fmt.Errorf("enter a record in the archive's index: %w", err)
	}
	folder, err := indexFolder(record, year, month)
	if err != nil {
		return err
	}
	err = a.store.Create(ctx, folder+id, nil)
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// Index returns the IDs of the records of a month, sorted.
func (a *Archive) Index(ctx context.Context, connection string, direction Direction, year, month int) ([]string, error) {
	record := RecordKey{Connection: connection, Direction: direction, ID: "-"}
	if _, err := record.check(); err != nil {
		return nil, fmt.Errorf("read the archive's index: %w", err)
	}
	folder, err := indexFolder(record, year, month)
	if err != nil {
		return nil, err
	}
	keys, err := a.store.List(ctx, folder)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(keys))
	for _, key := range keys {
		id, ok := unescape(strings.TrimPrefix(key, folder))
		if !ok {
			return nil, &CorruptError{Key: key, Reason: "its name is no ID of a record"}
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func indexFolder(record RecordKey, year, month int) (string, error) {
	if year < 2000 || year > 9999 || month < 1 || month > 12 {
		return "", fmt.Errorf("the archive's index has no month %d-%d", year, month)
	}
	return fmt.Sprintf("index/%s/%s/%04d/%02d/", record.Connection, record.Direction, year, month), nil
}
