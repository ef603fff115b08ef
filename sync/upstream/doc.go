// Package upstream is the county's side of the line: the reference gateway that
// receives what terminals send, stores it durably before it answers, opens the
// envelopes, gives the acceptance number, hands cases to the back office, and
// passes states and results back.
//
// It exists so that a county can run the system without anything else, and so
// that every test of a terminal has a real counterpart. It guarantees:
//
//   - an answer is given only after what it says is on the disk (SQLite in WAL
//     mode with synchronous=FULL, or PostgreSQL with synchronous_commit and
//     fsync on; uploaded files are fsynced before their row is);
//   - case id and revision are the idempotency key for ever; a case is accepted
//     once and keeps its number;
//   - every object sent down has a version that only grows and the county's
//     signature; the cursor never passes over a change;
//   - a checkpoint of an operation log that is smaller than, or contradicts, one
//     seen before is refused and remembered.
//
// What the database holds readable: service, region, mode, staff number, times,
// state, acceptance number, what the register said of the claim (one word), the
// county's own notes and reasons to a case, terminals and their health, accounts
// of staff. What a resident wrote, name, number, signature and scans lie there
// sealed as they came; they are opened with the county's key for the register,
// for the person who decides, and for the owner's own question. Whoever writes a
// reason for a return must not put personal data into it; the page says so.
//
// Everything is safe for concurrent use. Several processes may share one store.
package upstream
