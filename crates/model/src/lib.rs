//! A shard's state machine.
//!
//! [`apply`] reads rows, judges each op of a record in order and gives the outcomes and the rows that change. It alone assigns UIDs,
//! mod-sequences and UIDVALIDITY. It has no clock, no randomness and no I/O: time and random values come in with the record, rows through
//! a seam ([`Rows`]). So the same records give the same rows on every machine, byte for byte.
//!
//! ```
//! use paquebot_model::{apply, Chain, MemoryRows, Op, Outcome, Record, RecordId};
//! use paquebot_types::{AccountId, Sequence};
//!
//! let mut rows = MemoryRows::default();
//! let op = Op::AddAccount { account: AccountId::MIN, name: "anna".into(), mailboxes: vec![] };
//! let record = Record { id: RecordId([1; 16]), after: Sequence(0), time_ms: 1, node: "a".into(), ops: vec![op] };
//! let applied = apply(&rows, Chain::default(), Sequence(1), &record).unwrap();
//! assert_eq!(applied.outcomes, [Outcome::Done]);
//! rows.change(&applied.changes);
//! ```

mod apply;
mod bytes;
mod check;
mod draft;
pub mod key;
mod keywords;
mod load;
mod op;
mod outcome;
mod page;
mod record;
mod row;
mod rows;

pub use apply::{Applied, Chain, WINDOW, apply};
pub use check::{Breach, check_account, check_accounts};
pub use draft::ApplyError;
pub use keywords::{KEYWORDS_MAX, keyword_bits, keywords_of};
pub use load::{LoadDigest, LoadedRow, LoadedTo};
pub use op::create::MAILBOXES_MAX;
pub use op::deliver::DELIVERY_WINDOW_MS;
pub use outcome::{Outcome, Refusal};
pub use page::{Message, PAGE_MESSAGES, Page, page_number, page_ranges};
pub use record::{
    DeliveryKey, FlagAction, FlagChange, NeedsVersion, NewMessage, Op, RECORD_VERSION, Record, RecordError, RecordId,
};
pub use row::{Account, AccountMove, Blob, Delivery, Login, Mailbox, MoveStage, Row, Tombstone};
pub use rows::{MemoryRows, RowChange, Rows, RowsError, Scan};
