package teamogy

import (
	"sync"
	"time"
)

// maxMine bounds the memory of documents that this client created. The oldest are forgotten: by then they have
// long been visible in the view.
const maxMine = 20_000

// receivedIndex is what the client knows of received invoices' documents, and of how far they can be found.
type receivedIndex struct {
	// turn guards scan; it is held over requests.
	turn turn
	scan receivedScan
	// proof lets one caller at a time find out whether a KSeF number is kept.
	proof turn

	mu           sync.Mutex
	byNumber     map[string]int64 // created by this client
	byID         map[int64]string
	order        []int64
	doubts       map[string]doubt // creates that may or may not have been carried out
	highest      int64            // the highest id of any document that was seen
	saved        bool             // a created document was seen to keep its KSeF number
	proven       bool             // the property filter was seen to find
	distrusted   time.Time        // until when the property filter is not tried
	begun, ended uint64           // refreshes of scan
	stands       bool             // the whole view was read into scan once
}

// receivedScan is the index of the whole view. KSeF numbers of several documents are kept too.
type receivedScan struct {
	byNumber   map[string][]int64
	highest    int64     // id
	known      string    // any KSeF number that the view has
	readAt     time.Time // when the last full reading began
	complete   bool
	offset     int // where an incomplete reading goes on
	noIDFilter bool
	suspect    int64 // a document of ours that the view shows without its number
}

func newReceivedIndex() receivedIndex {
	return receivedIndex{
		turn:     newTurn(),
		proof:    newTurn(),
		scan:     receivedScan{byNumber: map[string][]int64{}},
		byNumber: map[string]int64{},
		byID:     map[int64]string{},
		doubts:   map[string]doubt{},
	}
}

func (x *receivedIndex) created(number string, id int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.byNumber[number] = id
	x.byID[id] = number
	x.order = append(x.order, id)
	x.highest = max(x.highest, id)
	delete(x.doubts, number)
	if len(x.order) > maxMine {
		x.drop(x.order[0])
		x.order = x.order[1:]
	}
}

func (x *receivedIndex) drop(id int64) {
	if number, ok := x.byID[id]; ok {
		delete(x.byID, id)
		if x.byNumber[number] == id {
			delete(x.byNumber, number)
		}
	}
}

func (x *receivedIndex) forget(id int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drop(id)
}

func (x *receivedIndex) mine(number string) (int64, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	id, ok := x.byNumber[number]
	return id, ok
}

func (x *receivedIndex) isMine(id int64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, ok := x.byID[id]
	return ok
}

func (x *receivedIndex) savingProven() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.saved
}

func (x *receivedIndex) proveSaving() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.saved = true
}

func (x *receivedIndex) filterProven() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.proven
}

func (x *receivedIndex) proveFilter() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.proven = true
}

func (x *receivedIndex) filterUsable(now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !now.Before(x.distrusted)
}

func (x *receivedIndex) distrustFilter(until time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.proven = false
	x.distrusted = until
}

// indexComplete notes that scan has the whole view; later looks read only what is new.
func (x *receivedIndex) indexComplete() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stands = true
}

func (x *receivedIndex) indexStands() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.stands
}

// refreshesBegun, beginRefresh, endRefresh and refreshedSince let callers that waited for their turn use a refresh
// that began after they came, so that many looks at once cost one request.
func (x *receivedIndex) refreshesBegun() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.begun
}

func (x *receivedIndex) beginRefresh() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.begun++
	return x.begun
}

func (x *receivedIndex) endRefresh(sequence uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = sequence
}

func (x *receivedIndex) refreshedSince(arrived uint64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ended > arrived
}
