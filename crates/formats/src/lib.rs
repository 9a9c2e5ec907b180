//! Other servers' mailboxes, served where they lie.
//!
//! One [`Driver`] for each format, in a table, in the manner of c-client's: it recognises its mailboxes, opens, makes, renames and deletes them. An
//! [`OpenMailbox`] is what one mailbox looks like to everybody above: messages by ascending UID with flags and dates, octets on demand, and the
//! changes that IMAP can ask for, each made as the format's own programs make it, under the locks that they take.
//!
//! All of this blocks, and knows neither sessions nor the native store. What a format cannot do it says as data ([`Abilities`]), so nobody above asks
//! for a format's name.

mod clock;
pub mod cyrus;
mod date;
mod driver;
mod error;
mod lock;
mod mailbox;
mod maildir;
mod mbox;
mod mbx;
mod mix;
mod names;
mod netfs;
mod rewrite;

pub use driver::{Abilities, Access, Children, DRIVERS, Driver, Found, Owner, Root, Sessions, driver, recognise};
pub use error::FormatError;
pub use lock::{SESSION_LOCK_ARGUMENT, SessionLockHelper, run_session_lock_helper, use_session_lock_helper};
pub use mailbox::{Annotation, Arriving, Body, Changes, Expunged, Message, OpenMailbox, State};
