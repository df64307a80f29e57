package ksefsim

import (
	"crypto/aes"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// The header that a part has to be uploaded with.
const (
	blobTypeHeader = "x-ms-blob-type"
	blobType       = "BlockBlob"
)

// uploadOperation takes the parts of packages: no log-in, no quota.
func (s *Simulator) uploadOperation() *operation {
	return &operation{name: opUpload, open: true, streams: true, handle: func(c *call) (*reply, error) {
		out, err := s.uploadPart(c)
		// A refused body is read, too: a connection that is closed in the midst
		// of it would take the answer away from most callers.
		_, _ = io.Copy(io.Discard, io.LimitReader(c.r.Body, maxPartBytes+aes.BlockSize))
		return out, err
	}}
}

// uploadPart answers PUT on a link of POST /sessions/batch. The link is judged
// when the request begins; an upload that is under way then may take longer.
func (s *Simulator) uploadPart(c *call) (*reply, error) {
	if c.r.Header.Get("Authorization") != "" {
		return storageError(http.StatusUnauthorized, "InvalidAuthenticationInfo", "A signed link takes no Authorization header."), nil
	}
	if refusal := s.linkRefusal(c, linkWrite); refusal != nil {
		return refusal, nil
	}
	switch given := c.r.Header.Get(blobTypeHeader); {
	case given == "":
		return storageError(http.StatusBadRequest, "MissingRequiredHeader", "The header "+blobTypeHeader+" is missing."), nil
	case given != blobType:
		return storageError(http.StatusBadRequest, "InvalidHeaderValue", "The header "+blobTypeHeader+" must be "+blobType+"."), nil
	case c.r.ContentLength < 0:
		return storageError(http.StatusBadRequest, "MissingContentLengthHeader", "The header Content-Length is missing."), nil
	case c.r.ContentLength > maxPartBytes+aes.BlockSize:
		return storageError(http.StatusBadRequest, "RequestBodyTooLarge", "The part is larger than 100 MB."), nil
	}
	data := make([]byte, c.r.ContentLength)
	if _, err := io.ReadFull(c.r.Body, data); err != nil {
		return storageError(http.StatusBadRequest, "IncompleteBody", "The part ended early."), nil
	}

	s.lock(s.now())
	defer s.mu.Unlock()
	n := s.sessions[strings.ToUpper(c.r.PathValue("session"))]
	number, err := strconv.Atoi(c.r.PathValue("file"))
	if n == nil || n.batch == nil || err != nil || number < 1 || number > len(n.batch.parts) {
		return storageError(http.StatusNotFound, "ContainerNotFound", "The session does not exist."), nil
	}
	if n.code != sessionOpen {
		return storageError(http.StatusForbidden, "AuthorizationFailure", "The session takes no parts any more."), nil
	}
	if c.strike(faultPartLost) == nil {
		part := n.batch.parts[number-1]
		part.data, part.arrived = data, true
	}
	out := &reply{status: http.StatusCreated}
	out.setHeader("ETag", `"0x`+randomHex(8)+`"`)
	return out, nil
}
