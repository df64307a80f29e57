// Package inspect reads from Temporal how a connection stands: what its
// long-running workflows do, how many invoices are in which state, which
// failed, and which wait for something to be mended.
package inspect

import (
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"

	"teamogy-ksef/internal/flow"
)

// States of a long-running workflow in a report.
const (
	StateRunning    = "running"
	StateNotStarted = "not started"
)

// LongRunning is one of a connection's long-running workflows. Status is its
// answer to the query, nil when it gave none: Problem then says why.
type LongRunning[S any] struct {
	WorkflowID string `json:"workflowId"`
	State      string `json:"state"` // running, not started, canceled, failed, ...
	Problem    string `json:"problem,omitempty"`
	Status     *S     `json:"status,omitempty"`
}

// Report is how a connection stands.
type Report struct {
	Connection string `json:"connection"`
	// Worker tells whether a worker has asked the task queue for work within
	// the last minutes.
	Worker   bool                             `json:"worker"`
	Receive  LongRunning[flow.ReceiveStatus]  `json:"receive"`
	Send     LongRunning[flow.SendStatus]     `json:"send"`
	Transmit LongRunning[flow.TransmitStatus] `json:"transmit"`
	Received []Count                          `json:"received"`
	Sent     []Count                          `json:"sent"`
	// Failed are the last invoices whose latest run failed; FailedInAll is how
	// many there are.
	Failed      []Failed `json:"failed"`
	FailedInAll int      `json:"failedInAll"`
	// Waiting are the steps that fail now, of the LookedAt invoices under way that
	// were looked at; RunningInAll is how many there are.
	Waiting      []Waiting `json:"waiting"`
	LookedAt     int       `json:"lookedAt"`
	RunningInAll int       `json:"runningInAll"`
	// Register is what the register says; nil when it was not read.
	Register *Register `json:"register,omitempty"`
	// Problems are the parts of the report that could not be read.
	Problems []string `json:"problems,omitempty"`

	latest map[string]*workflowpb.WorkflowExecutionInfo // by workflow ID
}

// Count is the number of invoices of one direction in one state: that of the
// latest run of each one's workflow.
type Count struct {
	State string `json:"state"`
	Count int64  `json:"count"`
}

// StateAborted counts the invoice workflows that were terminated or timed out
// before they had written a final state.
const StateAborted = "aborted"

// Failed is an invoice workflow that failed and was not started again since.
type Failed struct {
	WorkflowID string    `json:"workflowId"`
	RunID      string    `json:"runId"`
	Closed     time.Time `json:"closed"`
	Summary    string    `json:"summary,omitempty"`
	Problem
}

// Waiting is an activity that has failed and is tried again.
type Waiting struct {
	WorkflowID string    `json:"workflowId"`
	Activity   string    `json:"activity"`
	Attempt    int32     `json:"attempt"`
	Next       time.Time `json:"next,omitzero"` // the next attempt; zero: under way
	Problem
}

// Problem is an error in the terms of flow's table of error types.
type Problem struct {
	Type    string     `json:"type"`
	Class   flow.Class `json:"class"`
	Message string     `json:"message"`
	Remedy  string     `json:"remedy"`
}
