//! Cyrus imapd's store, which is read here, and written as an export.
//!
//! A mailbox is a directory: each message a file, `cyrus.header` with its identity and its keywords' names, `cyrus.index` with a record of each
//! message. Which mailboxes there are, who may read them, what users have seen and are subscribed to, and what is noted at mailboxes stands in
//! databases of the whole server or of a user.
//!
//! # What is meant
//!
//! [`Root::directory`](crate::Root) is one of two:
//!
//! - an `imapd.conf`: its `configdirectory`, `partition-*`, `metapartition-*`, `metapartition_files`, `archivepartition-*`, `hashimapspool`,
//!   `fulldirhash`, `altnamespace`, `unixhierarchysep`, `userprefix`, `sharedprefix`, `mboxlist_db_path`, `annotation_db_path` and
//!   `mboxname_lockpath` count, with the defaults of Cyrus 3. A file of Cyrus 2 that has neither `altnamespace` nor `unixhierarchysep` wants `no` for
//!   both, which was the default then;
//! - a directory with `conf` (the configuration directory) and `spool` (the partition) in it, as a store is copied from elsewhere. However its
//!   directories are spread, they are found; mailboxes are below `INBOX`, as without `altnamespace`.
//!
//! [`Root::user`](crate::Root) is the user's name in the store, with a domain (`jo@example.org`) for a virtual one. It may be left out where there is
//! one user only; [`users`] gives all. [`Root::inbox`](crate::Root) and [`Root::owner`](crate::Root) mean nothing here.
//!
//! Beside the user's own mailboxes those of others are served that the store's access lists let the user see and read, by name and as `anyone`: groups
//! are not known. Without `altnamespace` they are `user/bob/Work` and `lists/announce`, with it below `userprefix` and `sharedprefix`.
//!
//! # What is kept from clients
//!
//! Nothing is written, not even `\Recent` and `\Seen`: what changes anything answers [`FormatError::ReadOnly`]. A running Cyrus may go on using
//! the store: an index is read under its lock, and again whenever it, the keywords or what the user has seen have changed. Expunged messages whose
//! files are still there are in [`OpenMailbox::expunged`](crate::OpenMailbox::expunged).

mod account;
mod acl;
mod annotation;
mod config;
mod database;
mod dlist;
mod driver;
pub mod export;
mod header;
mod index;
mod mailboxes;
mod name;
mod octets;
mod open;
mod report;
mod seen;
mod snapshot;

pub use account::users;
pub use driver::Cyrus;

use crate::error::FormatError;

/// The answer to whatever would change a store.
fn read_only() -> FormatError {
    FormatError::ReadOnly(READ_ONLY.into())
}

const READ_ONLY: &str = "a Cyrus store is only read here: change it through Cyrus, or import it";
