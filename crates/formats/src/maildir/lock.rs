//! Dot-locks: a file beside what it locks, as Dovecot has for its lists and Courier for a maildir.
//!
//! Whoever can make the file has the lock. One whose holder is dead, or that has not been touched for [`STALE`], is broken.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::{failed, is_absent, unique};
use crate::error::FormatError;
use crate::lock::{BRIEF, holder, wait_for};

/// A lock is waited for this long.
const WAIT: Duration = Duration::from_secs(30);
/// Dovecot and Courier break a lock that is older.
const STALE: Duration = Duration::from_secs(120);

/// A lock that is held. Dropped, it is let go.
#[derive(Debug)]
pub struct DotLock {
    path: PathBuf,
    inode: u64,
}

impl DotLock {
    /// Waits for the lock at `path`. `locked` is what it protects: while that changes, somebody is at work. The file is made elsewhere, in `directory`,
    /// and linked, so that it says whose it is from the first moment.
    pub fn take(path: &Path, locked: &Path, directory: &Path) -> Result<Self, FormatError> {
        Self::take_until(path, locked, directory, Instant::now() + WAIT)
    }

    fn take_until(path: &Path, locked: &Path, directory: &Path, until: Instant) -> Result<Self, FormatError> {
        wait_for(path, BRIEF, until, || {
            loop {
                let made = Self::attempt(path, directory).map_err(|source| failed("lock", path, source))?;
                if let Some(lock) = made {
                    return Ok(Ok(lock));
                }
                let broken = break_abandoned(path, locked).map_err(|source| failed("break the lock", path, source))?;
                if !broken {
                    let holder = || std::fs::read_to_string(path).unwrap_or_default();
                    return Ok(Err(move || format!("process {} has locked it", holder().trim())));
                }
            }
        })
    }

    fn attempt(path: &Path, directory: &Path) -> io::Result<Option<Self>> {
        let temporary = directory.join(format!(".temp.{}", unique::name()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary)?;
        let linked =
            file.write_all(holder::this_process().as_bytes()).and_then(|()| std::fs::hard_link(&temporary, path));
        std::fs::remove_file(&temporary)?;
        match linked {
            Ok(()) => Ok(Some(Self { path: path.into(), inode: file.metadata()?.ino() })),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for DotLock {
    fn drop(&mut self) {
        // One that others have broken and taken is theirs.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes a lock that nobody holds any more. Gives whether another attempt should be made at once.
fn break_abandoned(path: &Path, locked: &Path) -> io::Result<bool> {
    let found = match File::open(path).and_then(|file| file.metadata()) {
        Err(error) if is_absent(&error) => return Ok(true),
        found => found?,
    };
    let is_dead = holder::is_dead(path);
    if !is_dead && !is_old(&found) {
        return Ok(false);
    }
    if !is_dead && std::fs::metadata(locked).is_ok_and(|locked| !is_old(&locked)) {
        return Ok(false);
    }
    // Moved away first: another process may have broken it and made its own meanwhile, which it then gets back.
    let aside = path.with_file_name(format!(".temp.{}", unique::name()));
    match std::fs::rename(path, &aside) {
        Err(error) if is_absent(&error) => return Ok(true),
        moved => moved?,
    }
    if std::fs::symlink_metadata(&aside)?.ino() != found.ino() {
        let _ = std::fs::hard_link(&aside, path);
    } else {
        tracing::warn!(path = %path.display(), "a lock that was left behind is broken");
    }
    std::fs::remove_file(&aside)?;
    Ok(true)
}

fn is_old(found: &std::fs::Metadata) -> bool {
    let age = found.modified().ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
    age.is_some_and(|age| age > STALE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn take(directory: &Path, until: Instant) -> Result<DotLock, FormatError> {
        DotLock::take_until(&directory.join("list.lock"), &directory.join("list"), directory, until)
    }

    #[test]
    fn a_lock_is_held_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let held = take(directory.path(), Instant::now()).unwrap();
        assert!(matches!(take(directory.path(), Instant::now()), Err(FormatError::InUse { .. })));
        drop(held);
        drop(take(directory.path(), Instant::now()).unwrap());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_lock_that_was_left_behind_is_broken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list.lock");
        let dead = holder::dead_process();
        std::fs::write(&path, format!("{dead}:{}", holder::host())).unwrap();
        drop(take(directory.path(), Instant::now()).unwrap());

        std::fs::write(&path, format!("{}:{}", std::process::id(), holder::host())).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - STALE * 2).unwrap();
        drop(take(directory.path(), Instant::now()).unwrap());
        assert!(!path.exists());
    }
}
