package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// memoryStore keeps objects in memory, for tests: they are gone with the process.
type memoryStore struct {
	mutex   sync.RWMutex
	objects map[string][]byte
}

func newMemoryStore() *memoryStore {
	return &memoryStore{objects: map[string][]byte{}}
}

func (s *memoryStore) Create(ctx context.Context, key string, data []byte) error {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if _, ok := s.objects[key]; ok {
		return fmt.Errorf("archive %s: %w", key, ErrExists)
	}
	s.objects[key] = bytes.Clone(data)
	return nil
}

func (s *memoryStore) Read(ctx context.Context, key string) ([]byte, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return nil, err
	}
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	data, ok := s.objects[key]
	if !ok {
		return nil, fmt.Errorf("archive %s: %w", key, ErrNotFound)
	}
	return bytes.Clone(data), nil
}

func (s *memoryStore) Exists(ctx context.Context, key string) (bool, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return false, err
	}
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	_, ok := s.objects[key]
	return ok, nil
}

func (s *memoryStore) List(ctx context.Context, folder string) ([]string, error) {
	if err := errors.Join(checkFolder(folder), ctx.Err()); err != nil {
		return nil, err
	}
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	var keys []string
	for key := range s.objects {
		if strings.HasPrefix(key, folder) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

func (s *memoryStore) Delete(ctx context.Context, key string) error {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.objects, key)
	return nil
}
