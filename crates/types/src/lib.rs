//! The field's words as types: what every other crate of Paquebot speaks.
//!
//! A value of one of these types is a valid value: a [`Uid`] is never 0, a [`MailboxName`] holds no control character and no empty
//! level, a [`UidSet`] is sorted and merged. The crate knows nothing of bytes on a wire or on a disk.
//!
//! ```
//! use paquebot_types::{Uid, UidSet};
//! let mut uids = UidSet::new();
//! uids.insert(Uid::new(7).unwrap());
//! uids.insert(Uid::new(8).unwrap());
//! assert_eq!(uids.to_string(), "7:8");
//! ```

mod blob;
mod flag;
mod mailbox_name;
mod number;
mod special_use;
mod time;
mod uid_set;

pub use blob::{BlobHash, EmailId, ThreadId};
pub use flag::{Flag, FlagError, Flags, KEYWORD_BYTES_MAX, Keyword};
pub use mailbox_name::{MAILBOX_NAME_BYTES_MAX, MAILBOX_NAME_LEVELS_MAX, MailboxName, MailboxNameError};
pub use number::{AccountId, BlobId, MailboxId, ModSeq, SeqNum, Sequence, ShardId, Uid, UidValidity};
pub use special_use::SpecialUse;
pub use time::InternalDate;
pub use uid_set::{UidRange, UidSet};
