//! A shard's state machine.
//!
//! `apply(rows, record)` reads rows, judges each op of the record in order and gives the outcomes and the rows that change. It alone
//! assigns UIDs, mod-sequences and UIDVALIDITY. It has no clock, no randomness and no I/O: time and random values come in with the
//! record, rows through a seam. So the same records give the same rows on every machine, byte for byte.

mod rows;

pub use rows::{MemoryRows, RowChange, Rows, RowsError, Scan};
