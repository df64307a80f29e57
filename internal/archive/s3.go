package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/aws/smithy-go"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/s3blob" // registers the scheme s3
	"gocloud.dev/gcerrors"
)

// s3Store keeps objects in an S3 bucket, or in another service that speaks S3 and honours
// "If-None-Match: *" on PUT (Archive.Check finds out whether it does).
type s3Store struct {
	bucket *blob.Bucket
}

// openS3Store opens s3://bucket?region=...; endpoint=, use_path_style=, prefix= and the other parameters
// are those of gocloud.dev/blob/s3blob, credentials are found as by every AWS tool.
func openS3Store(ctx context.Context, address string) (*s3Store, error) {
	bucket, err := blob.OpenBucket(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("open the archive's bucket: %w", err)
	}
	return &s3Store{bucket: bucket}, nil
}

// conflictAttempts is how often Create repeats a write that S3 answered with 409
// ConditionalRequestConflict: another write to the same key was under way, and S3 asks to try again.
const conflictAttempts = 5

func (s *s3Store) Create(ctx context.Context, key string, data []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	options := &blob.WriterOptions{IfNotExist: true, ContentType: "application/octet-stream"}
	var err error
	for range conflictAttempts {
		err = s.bucket.WriteAll(ctx, key, data, options)
		var answer smithy.APIError
		if !errors.As(err, &answer) || answer.ErrorCode() != "ConditionalRequestConflict" {
			break
		}
	}
	switch {
	case err == nil:
		return nil
	case gcerrors.Code(err) == gcerrors.FailedPrecondition:
		return fmt.Errorf("archive %s: %w", key, ErrExists)
	default:
		return fmt.Errorf("archive %s: %w", key, err)
	}
}

func (s *s3Store) Read(ctx context.Context, key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	data, err := s.bucket.ReadAll(ctx, key)
	switch {
	case gcerrors.Code(err) == gcerrors.NotFound:
		return nil, fmt.Errorf("archive %s: %w", key, ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("archive %s: %w", key, err)
	}
	return data, nil
}

func (s *s3Store) Exists(ctx context.Context, key string) (bool, error) {
	if err := checkKey(key); err != nil {
		return false, err
	}
	ok, err := s.bucket.Exists(ctx, key)
	if err != nil {
		return false, fmt.Errorf("archive %s: %w", key, err)
	}
	return ok, nil
}

func (s *s3Store) List(ctx context.Context, folder string) ([]string, error) {
	var keys []string
	err := s.walk(ctx, folder, func(key string) error {
		keys = append(keys, key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(keys)
	return keys, nil
}

// walk visits the keys below a folder, page by page. S3 lists in the order of the keys, so that those of
// one folder come together.
func (s *s3Store) walk(ctx context.Context, folder string, visit func(key string) error) error {
	return s.objects(ctx, folder, "", func(object *blob.ListObject) error {
		if !validKey(object.Key) { // a console's "folder" objects and foreign ones are not ours
			return nil
		}
		return visit(object.Key)
	})
}

// folders are the names of the folders in a folder.
func (s *s3Store) folders(ctx context.Context, folder string) ([]string, error) {
	var names []string
	err := s.objects(ctx, folder, "/", func(object *blob.ListObject) error {
		if name := strings.TrimSuffix(object.Key, "/"); object.IsDir && validKey(name) {
			names = append(names, strings.TrimPrefix(name, folder))
		}
		return nil
	})
	slices.Sort(names)
	return names, err
}

func (s *s3Store) objects(ctx context.Context, folder, delimiter string, visit func(*blob.ListObject) error) error {
	if err := checkFolder(folder); err != nil {
		return err
	}
	objects := s.bucket.List(&blob.ListOptions{Prefix: folder, Delimiter: delimiter})
	for {
		object, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list the archive's folder %q: %w", folder, err)
		}
		if err := visit(object); err != nil {
			return err
		}
	}
}

func (s *s3Store) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := s.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("delete %s from the archive: %w", key, err)
	}
	return nil
}

// Close lets the bucket go.
func (s *s3Store) Close() error {
	return s.bucket.Close()
}
