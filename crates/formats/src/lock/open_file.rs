//! fcntl's locks as Linux gives them to an open file instead of a process (`F_OFD_SETLK`).
//!
//! They and other programs' POSIX locks keep each other out, but they are not lost when another thread of this process closes a descriptor of the file.

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::{BRIEF, Kind, wait_for};
use crate::error::FormatError;

/// Taking locks on the whole of a file, which end when the open file does.
pub struct FileLock;

impl FileLock {
    /// Whether the lock could be had at once.
    pub fn attempt(file: &File, kind: Kind) -> std::io::Result<bool> {
        let l_type = match kind {
            Kind::Shared => libc::F_RDLCK,
            Kind::Exclusive => libc::F_WRLCK,
        };
        // Of length 0: to wherever the end will be. The process must be 0 for this kind of lock.
        let whole = libc::flock {
            l_type: l_type as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        loop {
            match fcntl(file, FcntlArg::F_OFD_SETLK(&whole)) {
                Ok(_) => return Ok(true),
                Err(Errno::EAGAIN | Errno::EACCES) => return Ok(false),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for the lock; `path` is for the message that it cannot be had.
    pub fn take_until(file: &File, kind: Kind, path: &Path, until: Instant) -> Result<(), FormatError> {
        wait_for(path, BRIEF, until, || match Self::attempt(file, kind) {
            Ok(true) => Ok(Ok(())),
            Ok(false) => Ok(Err(|| "another program has locked it (fcntl)".into())),
            Err(source) => Err(FormatError::Io { doing: "lock", path: path.into(), source }),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_lock_belongs_to_the_open_file_and_not_to_the_process() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (one, other) = (file.reopen().unwrap(), file.reopen().unwrap());
        assert!(FileLock::attempt(&one, Kind::Shared).unwrap());
        assert!(FileLock::attempt(&other, Kind::Shared).unwrap());
        assert!(!FileLock::attempt(&other, Kind::Exclusive).unwrap());
        // A POSIX lock of `one` would be gone with this.
        drop(file.reopen().unwrap());
        assert!(!FileLock::attempt(&other, Kind::Exclusive).unwrap());
        drop(one);
        assert!(FileLock::attempt(&other, Kind::Exclusive).unwrap());
        let refused = FileLock::take_until(file.as_file(), Kind::Shared, file.path(), Instant::now());
        assert!(matches!(refused, Err(FormatError::InUse { .. })), "{refused:?}");
    }
}
