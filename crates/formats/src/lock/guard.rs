//! All the locks of a mailbox that is one file, for the time of one look or one change.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::dot::DotLock;
use super::{FileLock, Flock, Kind, wait_for};
use crate::driver::Owner;
use crate::error::FormatError;

const WAIT: Duration = Duration::from_secs(300);
/// Between attempts, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// What is done where no dot-lock can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dot {
    /// Nothing is changed without it.
    Must,
    /// Reading does with the file's own locks.
    May,
}

/// A mailbox's file, locked for everybody: the dot-lock, fcntl's lock and `flock`, taken in this order. If one cannot be had those before it are let go,
/// so programs with another order are never waited for while they wait for us.
#[derive(Debug)]
pub struct FileGuard {
    // Dropped in this order: the file's locks end with it, then the dot-lock.
    pub file: File,
    _dot: Option<DotLock>,
}

/// Why there is no guard.
#[derive(Debug)]
pub enum NoGuard {
    /// No dot-lock can be made here.
    NoDotLock(io::Error),
    Failed(FormatError),
}

impl From<FormatError> for NoGuard {
    fn from(error: FormatError) -> Self {
        Self::Failed(error)
    }
}

impl FileGuard {
    pub fn take(path: &Path, kind: Kind, dot: Dot, owner: Option<Owner>) -> Result<Self, NoGuard> {
        let until = Instant::now() + WAIT;
        wait_for(path, PAUSE, until, || {
            let attempt = Self::attempt(path, kind, dot, owner)?;
            Ok(attempt.map_err(|by| || by.to_owned()))
        })
    }

    /// `Ok(Err(_))` says whose lock is in the way.
    fn attempt(path: &Path, kind: Kind, dot: Dot, owner: Option<Owner>) -> Result<Result<Self, &'static str>, NoGuard> {
        let failed = |doing, source| NoGuard::Failed(FormatError::Io { doing, path: path.into(), source });
        let dot_lock = match DotLock::attempt(path, owner) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => return Ok(Err("another program has a .lock file beside it")),
            Err(_) if dot == Dot::May => None,
            Err(source) => return Err(NoGuard::NoDotLock(source)),
        };
        let file = open(path, kind).map_err(|source| failed("open", source))?;
        if !FileLock::attempt(&file, kind).map_err(|source| failed("lock", source))? {
            return Ok(Err("another program has locked it (fcntl)"));
        }
        if !Flock::attempt(&file, kind).map_err(|source| failed("lock", source))? {
            return Ok(Err("another program has locked it (flock)"));
        }
        let is_current = || Ok(identity(&file.metadata()?) == identity(&std::fs::metadata(path)?));
        match is_current() {
            Ok(true) => Ok(Ok(Self { file, _dot: dot_lock })),
            Ok(false) => Ok(Err("it is being replaced")),
            Err(source) => Err(failed("look at", source)),
        }
    }
}

/// Device and inode.
pub fn identity(metadata: &std::fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Reading leaves the time of the last access as it is, where the system lets us: others see by it whether there is new mail.
fn open(path: &Path, kind: Kind) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let quiet = rustix::fs::OFlags::NOATIME.bits() as i32;
    let with = |flags| OpenOptions::new().read(true).write(kind == Kind::Exclusive).custom_flags(flags).open(path);
    match with(quiet) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => with(0),
        opened => opened,
    }
}

/// The mailbox's file, to read from without a lock.
pub fn open_quietly(path: &Path) -> io::Result<File> {
    open(path, Kind::Shared)
}
