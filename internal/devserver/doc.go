// Package devserver finds the Temporal CLI and runs its development server
// (`temporal server start-dev`) as a child process that never outlives its parent
// and that nobody else can mistake for their own.
//
// It is meant for the demo and for tests. Production runs on a Temporal server
// or Temporal Cloud, which only the TEMPORAL_* variables choose.
package devserver
