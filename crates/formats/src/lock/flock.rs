//! `flock`, as c-client takes it. On Linux it and fcntl's locks do not see each other.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::{BRIEF, wait_for};
use crate::error::FormatError;

/// A lock is waited for this long: c-client takes a mailbox that is locked for longer as abandoned.
const WAIT: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Shared,
    Exclusive,
}

/// Taking and leaving locks of an open file. A lock belongs to the open file and ends with it.
pub struct Flock;

impl Flock {
    /// Whether the lock could be had at once. A lock of another kind that the file has is lost in either case.
    pub fn attempt(file: &File, kind: Kind) -> io::Result<bool> {
        let operation = match kind {
            Kind::Shared => FlockOperation::NonBlockingLockShared,
            Kind::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        loop {
            match rustix::fs::flock(file, operation) {
                Ok(()) => return Ok(true),
                Err(Errno::WOULDBLOCK) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for the lock; `path` is for the message that it cannot be had.
    pub fn take(file: &File, kind: Kind, path: &Path) -> Result<(), FormatError> {
        Self::take_until(file, kind, path, Instant::now() + WAIT)
    }

    pub fn take_until(file: &File, kind: Kind, path: &Path, until: Instant) -> Result<(), FormatError> {
        wait_for(path, BRIEF, until, || match Self::attempt(file, kind) {
            Ok(true) => Ok(Ok(())),
            Ok(false) => Ok(Err(|| "another program has locked it (flock)".into())),
            Err(source) => Err(FormatError::Io { doing: "lock", path: path.into(), source }),
        })
    }

    pub fn leave(file: &File) -> io::Result<()> {
        Ok(rustix::fs::flock(file, FlockOperation::Unlock)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_exclusive_lock_keeps_others_out() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (one, other) = (file.reopen().unwrap(), file.reopen().unwrap());
        assert!(Flock::attempt(&one, Kind::Shared).unwrap());
        assert!(Flock::attempt(&other, Kind::Shared).unwrap());
        assert!(!Flock::attempt(&other, Kind::Exclusive).unwrap());
        Flock::leave(&one).unwrap();
        assert!(Flock::attempt(&other, Kind::Exclusive).unwrap());
        let refused = Flock::take_until(&one, Kind::Shared, file.path(), Instant::now());
        assert!(matches!(refused, Err(FormatError::InUse { .. })), "{refused:?}");
        drop(other);
        Flock::take_until(&one, Kind::Exclusive, file.path(), Instant::now()).unwrap();
    }
}
