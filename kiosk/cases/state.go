package cases

import (
	"fmt"
	"slices"
	"time"
)

// moves is the table of legal moves. The county may skip steps (a case can go
// from accepted straight to finished), and a terminal that was away for weeks
// may learn only the last one, so that every state the county gives can follow
// every other that the county gives; what is over stays over.
var moves = map[State][]State{
	Saved:      {Accepted, Processing, Returned, Finished, Refused, Withdrawn, Attention},
	Accepted:   {Accepted, Processing, Returned, Finished, Refused},
	Processing: {Processing, Accepted, Returned, Finished, Refused},
	Returned:   {Returned, Saved, Accepted, Processing, Finished, Refused},
	Attention:  {Saved, Accepted, Processing, Returned, Finished, Refused, Withdrawn, Attention},
	Finished:   {Finished},
	Refused:    {Refused},
	Withdrawn:  {Withdrawn},
}

// Can reports whether a case may go from one state to another.
func (s State) Can(to State) bool { return slices.Contains(moves[s], to) }

// Known reports whether s is of the closed set.
func (s State) Known() bool { return slices.Contains(States, s) }

// Over reports whether nothing follows any more.
func (s State) Over() bool {
	switch s {
	case Finished, Refused, Withdrawn:
		return true
	case Saved, Accepted, Processing, Returned, Attention:
		return false
	}
	return false
}

// Unsent reports whether the county does not have the present revision.
func (s State) Unsent() bool {
	switch s {
	case Saved, Attention:
		return true
	case Accepted, Processing, Returned, Finished, Refused, Withdrawn:
		return false
	}
	return false
}

// Update is what the county says about a case.
type Update struct {
	CaseID     string
	Revision   int
	State      State // one that the county gives: accepted, processing, returned, finished, refused
	At         time.Time
	Note       string
	Mend       []Mend
	Acceptance string
	DueDate    string // YYYY-MM-DD, "" = unchanged
}

// Apply makes the case what the update says and reports whether anything
// changed. An update for an earlier revision, or for what is over, changes
// nothing: the line may deliver it late. ErrIllegal when the move is not in
// the table or the state is not the county's to give.
func (c *Case) Apply(u Update) (changed bool, err error) {
	switch u.State {
	case Accepted, Processing, Returned, Finished, Refused:
	case Saved, Withdrawn, Attention:
		return false, fmt.Errorf("%w: the county cannot make a case %q", ErrIllegal, u.State)
	default:
		return false, fmt.Errorf("%w: unknown state %q", ErrIllegal, u.State)
	}
	if u.Revision != c.Revision || u.At.Before(c.UpdatedAt) && !c.State.Unsent() {
		return false, nil
	}
	if c.State.Over() {
		return false, nil
	}
	if !c.State.Can(u.State) {
		return false, fmt.Errorf("%w: %s → %s", ErrIllegal, c.State, u.State)
	}
	before := *c
	c.State, c.Note, c.Mend = u.State, u.Note, u.Mend
	if u.Acceptance != "" {
		if c.Acceptance == "" {
			c.AcceptedAt = u.At
		}
		c.Acceptance = u.Acceptance
	}
	if u.DueDate != "" {
		c.DueDate = u.DueDate
	}
	if u.At.After(c.UpdatedAt) {
		c.UpdatedAt = u.At
	}
	same := before.State == c.State && before.Note == c.Note && before.Acceptance == c.Acceptance &&
		before.DueDate == c.DueDate && slices.Equal(before.Mend, c.Mend)
	return !same, nil
}
