//! Maildir: a directory with a file for each message, flags in the files' names, and no locks but around what servers add: Dovecot's and Courier's lists
//! of UIDs and keywords, either of which is kept as its own server keeps it.

mod append;
mod body;
mod change;
mod courier;
mod driver;
mod files;
mod folders;
mod index;
mod keywords;
mod layout;
mod lock;
mod look;
mod open;
mod quota;
mod scan;
mod subscriptions;
mod uidlist;
mod uids;
mod unique;
mod validity;
mod watch;

use std::io;
use std::path::Path;

use crate::error::{FormatError, failed};

pub use driver::Maildir;

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// What a file holds; `None` if there is none.
fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, FormatError> {
    match std::fs::read(path) {
        Ok(octets) => Ok(Some(octets)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(source) => Err(failed("read", path, source)),
    }
}

/// What `open` gives; `None` if there is no such file.
fn if_there<T>(opened: io::Result<T>) -> io::Result<Option<T>> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
