package flow

import "time"

// HandOver is one invoice on its way to KSeF: the address of the waiting
// Transmit activity, and what is to be sent.
type HandOver struct {
	WorkflowID string `json:"w"`
	RunID      string `json:"r"`
	ActivityID string `json:"a"`
	DocumentID int64  `json:"d"`
	SHA256     string `json:"h"`
	Form       string `json:"f,omitempty"`
	// Attachment says that the invoice has a structured attachment, which KSeF
	// takes in a batch session only.
	Attachment bool `json:"t,omitempty"`
	// Offline says that the invoice is declared as issued offline.
	Offline bool  `json:"o,omitempty"`
	Size    int64 `json:"z,omitempty"` // bytes of the XML; 0: not known
}

// MostHandOvers is how many hand-overs one signal or activity is given: of at
// most 300 bytes each, within the 64 KB of a payload.
const MostHandOvers = 200

// HandOvers are at most MostHandOvers invoices that are handed over at once.
type HandOvers struct {
	Items []HandOver `json:"items"`
}

// TransmitState is the input of TransmitInvoices: the connection, and what it
// carries over continue-as-new.
type TransmitState struct {
	Connection string  `json:"connection"`
	TimeScale  float64 `json:"timeScale,omitempty"`
	// Packages says that several invoices are sent as a package. A run that was
	// begun before that was possible finds it out by itself.
	Packages bool             `json:"packages,omitempty"`
	Pending  []Waiting        `json:"pending,omitempty"`
	InFlight []InFlight       `json:"inFlight,omitempty"`
	Answered []Answer         `json:"answered,omitempty"`
	Sessions []WaitingSession `json:"sessions,omitempty"`
	Opens    []Spent          `json:"opens,omitempty"`
	Sends    []Spent          `json:"sends,omitempty"`
	Batches  []Spent          `json:"batches,omitempty"` // batch sessions opened
	Totals   TransmitTotals   `json:"totals"`
}

// Waiting is an invoice that waits for a session.
type Waiting struct {
	HandOver
	Tries     int       `json:"n,omitempty"` // sessions that ended without KSeF's decision
	NotBefore time.Time `json:"b,omitzero"`
}

// InFlight is an invoice that a session has taken over.
type InFlight struct {
	Waiting
	Session string `json:"s"`           // workflow ID of the TransmitSession
	Moved   bool   `json:"m,omitempty"` // registered again since: somebody waits at this address
}

// Answer remembers that a document's fate is in its record.
type Answer struct {
	DocumentID int64  `json:"d"`
	SHA256     string `json:"h"`
	RunID      string `json:"r,omitempty"` // the run that a rejection was for
	Accepted   bool   `json:"k,omitempty"`
}

// WaitingSession is a session that was sent and whose answers are awaited.
type WaitingSession struct {
	ID    string    `json:"id"`
	Since time.Time `json:"since"`
	Sent  bool      `json:"sent"`
	// Group is what its invoices have in common, so that none of them waits for
	// the sending of others; empty of sessions from before there were groups.
	Group string `json:"group,omitempty"`
	Batch bool   `json:"batch,omitempty"` // a batch session
}

// TransmitTotals count since the first start of TransmitInvoices.
type TransmitTotals struct {
	Registered int `json:"registered"`
	Sessions   int `json:"sessions"`
	Answered   int `json:"answered"`
	Again      int `json:"again"` // without KSeF's decision: another session
}

// TransmitStatus answers the Status query of TransmitInvoices.
type TransmitStatus struct {
	Connection string           `json:"connection"`
	Doing      string           `json:"doing"`
	Pending    int              `json:"pending"`
	InFlight   int              `json:"inFlight"`
	Sessions   []WaitingSession `json:"sessions,omitempty"`
	Totals     TransmitTotals   `json:"totals"`
}

// PlanInput asks to keep a session's list in the archive.
type PlanInput struct {
	Connection string     `json:"connection"`
	Items      []HandOver `json:"items"`
}

// SessionInput is the input of TransmitSession.
type SessionInput struct {
	Connection string  `json:"connection"`
	List       ListRef `json:"list"` // the first of the list's pieces
	TimeScale  float64 `json:"timeScale,omitempty"`
	// More are further pieces of the list: positions count through all of them.
	More []ListRef `json:"more,omitempty"`
	// Batch says that the invoices are sent as one package.
	Batch   bool `json:"batch,omitempty"`
	Offline bool `json:"offline,omitempty"` // declared so for the whole package
}

// Count is how many invoices the session is for.
func (in SessionInput) Count() int {
	n := in.List.Count
	for _, l := range in.More {
		n += l.Count
	}
	return n
}

// Pace is what TransmitInvoices needs to pace its sessions.
type Pace struct {
	TimeScale float64 `json:"timeScale"`
	Limits    Limits  `json:"limits"`
	Blocked   []Block `json:"blocked,omitempty"`
	// OneByOne is how many invoices at most go by an online session and not as a
	// package; 0: the workflow's own number.
	OneByOne int `json:"oneByOne,omitempty"`
}

// BuildInput asks to prepare a session.
type BuildInput struct {
	Connection string    `json:"connection"`
	List       ListRef   `json:"list"`
	More       []ListRef `json:"more,omitempty"`
}

// Built is a prepared session. Its indexes are positions in the list.
type Built struct {
	Plan      ListRef `json:"plan"` // of what to do with each of the list
	Form      string  `json:"form,omitempty"`
	Documents []int64 `json:"documents"`         // the list's document IDs
	Send      []int   `json:"send,omitempty"`    // to be sent in a new session
	Watch     []int   `json:"watch,omitempty"`   // sent before, and KSeF is still deciding
	Decided   []int   `json:"decided,omitempty"` // KSeF has decided: the records know
	Dropped   []int   `json:"dropped,omitempty"` // withdrawn, or nobody waits for them
	Unclear   []int   `json:"unclear,omitempty"` // could not be looked after now: another session
}

// OpenInput asks to open a KSeF session.
type OpenInput struct {
	Connection string `json:"connection"`
	Form       string `json:"form"`
}

// Opened is an open KSeF session. Its AES key is derived from the
// deployment's secret and Salt.
type Opened struct {
	Reference string `json:"reference"`
	Salt      string `json:"salt"`
	Attempts  int    `json:"attempts"`
}

// SendToSessionInput asks to send some of a list into a session.
type SendToSessionInput struct {
	Connection string  `json:"connection"`
	Session    Opened  `json:"session"`
	Plan       ListRef `json:"plan"`
	Send       []int   `json:"send"`
}

// SentToSession tells which of the plan reached KSeF.
type SentToSession struct {
	Sent int   `json:"sent"`
	Left []int `json:"left,omitempty"` // not taken by KSeF: another session
	// Refused are indexes that KSeF refused at once; their records know why.
	Refused []int `json:"refused,omitempty"`
}

// SendBatchInput asks to send some of a plan as one package in a new batch
// session.
type SendBatchInput struct {
	Connection string  `json:"connection"`
	Form       string  `json:"form"`
	Offline    bool    `json:"offline,omitempty"`
	Plan       ListRef `json:"plan"`
	Send       []int   `json:"send"`
}

// SentBatch is a batch session whose package is uploaded and which is not
// closed: KSeF has begun with none of its invoices.
type SentBatch struct {
	// Session is empty if no session came about: everything is Left.
	Session Opened `json:"session,omitzero"`
	Left    []int  `json:"left,omitempty"` // not in the package: another session
	Parts   int    `json:"parts"`
	Bytes   int64  `json:"bytes"` // of the package
}

// CloseInput asks to close a session.
type CloseInput struct {
	Connection string `json:"connection"`
	Reference  string `json:"reference"`
	Batch      bool   `json:"batch,omitempty"`
}

// Closed is the result of CloseSession.
type Closed struct {
	// Lost says that KSeF lacks a part of the package: the session comes to
	// nothing, and its invoices need another one.
	Lost bool `json:"lost,omitempty"`
}

// AwaitInput asks to wait until KSeF has decided on more invoices.
type AwaitInput struct {
	Connection string  `json:"connection"`
	Reference  string  `json:"reference,omitempty"`
	Plan       ListRef `json:"plan"`
	Open       []int   `json:"open"` // indexes of the plan that are undecided
	// WaitedSeconds is for how long already: since the session was filled, or
	// brought its last decision. The longer, the more rarely KSeF is asked. It is
	// no point in time, because a worker's clock may differ from Temporal's.
	WaitedSeconds int64 `json:"waitedSeconds,omitempty"`
	Batch         bool  `json:"batch,omitempty"` // Reference is a batch session
}

// Awaited tells what moved.
type Awaited struct {
	Decided int  `json:"decided"` // how many of Open KSeF has decided on by its own count
	Ended   bool `json:"ended"`   // the session has ended
	Code    int  `json:"code"`    // its status
}

// Collected tells what became of the undecided invoices.
type Collected struct {
	Decided []int `json:"decided,omitempty"` // accepted or rejected: the records know
	Again   []int `json:"again,omitempty"`   // not processed by KSeF, or not clear: another session
}

// DeliverInput asks to answer the waiting Transmit activities.
type DeliverInput struct {
	Connection string    `json:"connection"`
	List       ListRef   `json:"list"`
	More       []ListRef `json:"more,omitempty"`
	Indexes    []int     `json:"indexes"`
}

// DeliverDirectInput asks to answer registrations whose answer is known.
type DeliverDirectInput struct {
	Connection string     `json:"connection"`
	Items      []HandOver `json:"items"`
}

// Delivered counts the answers.
type Delivered struct {
	Delivered int      `json:"delivered"`
	NotWaited int      `json:"notWaited,omitempty"` // nobody waits any more: the answer stays in the record
	Unknown   []int64  `json:"unknown,omitempty"`   // documents whose record gave no answer: another session looks again
	Answers   []Answer `json:"answers,omitempty"`
}

// SessionSent is the signal that a session's invoices are all at KSeF and the
// session is closed.
type SessionSent struct {
	ID    string `json:"id"`
	Opens int    `json:"opens"` // requests spent on opening
}

// SessionNews is the signal that a session is done with some of its invoices.
type SessionNews struct {
	ID      string   `json:"id"`
	Answers []Answer `json:"answers,omitempty"` // delivered; the records know
	Landed  []int64  `json:"landed,omitempty"`  // documents that the session has nothing more to do with
	Again   []int64  `json:"again,omitempty"`   // documents for another session
	Over    bool     `json:"over,omitempty"`    // the session has ended
}

// CheckSessionsInput asks which sessions still run.
type CheckSessionsInput struct {
	Connection string   `json:"connection"`
	IDs        []string `json:"ids"`
}

// CheckedSessions lists the sessions that do not run any more.
type CheckedSessions struct {
	Gone []string `json:"gone,omitempty"`
}
