//! The lock file beside a mailbox, `NAME.lock`: the one lock that c-client and delivery agents both take.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::guard::identity;
use super::holder;
use crate::clock;
use crate::driver::Owner;

/// A lock file of this age was left by a program that died.
const STALE: Duration = Duration::from_secs(300);
/// c-client takes none beside a longer path.
const PATH_BYTES_MAX: usize = 512;

/// A dot-lock that is held. Dropped, it is removed, if it still is ours.
#[derive(Debug)]
pub struct DotLock {
    path: PathBuf,
    /// Its file, open so that no other gets its inode; `None` where the path is too long for a lock.
    made: Option<File>,
}

impl DotLock {
    /// Takes the lock if it can be had at once; one that is stale is broken.
    pub fn attempt(mailbox: &Path, owner: Option<Owner>) -> io::Result<Option<Self>> {
        let path = beside(mailbox, ".lock");
        if path.as_os_str().len() > PATH_BYTES_MAX {
            return Ok(Some(Self { path, made: None }));
        }
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => return Err(io::Error::other(format!("{} is a link", path.display()))),
            Ok(found) if is_stale(&found) || holder::is_dead(&path) => break_stale(&path, &found)?,
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let post = beside(&path, &unique());
        let made = link(&post, &path, owner);
        let _ = fs::remove_file(&post);
        Ok(made?.map(|made| Self { path, made: Some(made) }))
    }
}

impl Drop for DotLock {
    fn drop(&mut self) {
        let Some(Ok(made)) = self.made.as_ref().map(File::metadata) else { return };
        // Somebody may have taken it for a stale one: then it is his.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == identity(&made)) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a file of our own and links it to the lock's name: who has two names has the lock, also where the answer of `link` is lost.
fn link(post: &Path, path: &Path, owner: Option<Owner>) -> io::Result<Option<File>> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o666).open(post)?;
    // So that the next of us waits for nobody if this process is killed. c-client and delivery agents look at the lock's age alone.
    let _ = file.write_all(holder::this_process().as_bytes());
    // So that everybody can break it later.
    let _ = file.set_permissions(Permissions::from_mode(0o666));
    if let Some(owner) = owner {
        let _ = std::os::unix::fs::fchown(&file, Some(owner.user), Some(owner.group));
    }
    let refused = fs::hard_link(post, path).err();
    if file.metadata()?.nlink() == 2 {
        return Ok(Some(file));
    }
    match refused {
        // A file system without hard links.
        Some(error) if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => {
            match OpenOptions::new().write(true).create_new(true).mode(0o666).open(path) {
                Ok(file) => Ok(Some(file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
                Err(error) => Err(error),
            }
        }
        Some(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(None),
    }
}

fn is_stale(found: &fs::Metadata) -> bool {
    let changed = Duration::from_secs(found.ctime().max(0).unsigned_abs());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(changed) >= STALE
}

/// Removes a stale lock, and never the one that somebody else has made in its place meanwhile.
fn break_stale(path: &Path, stale: &fs::Metadata) -> io::Result<()> {
    let aside = beside(path, &format!("{}.stale", unique()));
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed?,
    }
    let found = fs::symlink_metadata(&aside)?;
    if (found.dev(), found.ino()) == (stale.dev(), stale.ino()) {
        tracing::warn!(path = %path.display(), "a lock that was left behind is broken");
    } else {
        let _ = fs::hard_link(&aside, path);
    }
    fs::remove_file(&aside)
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// As c-client has it, and a number for those of one process.
fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = clock::seconds();
    let host = holder::host().replace('/', "_");
    format!(".{now}.{}.{}.{host}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_at_a_time_has_it_and_nothing_stays_behind() {
        let directory = tempfile::tempdir().unwrap();
        let mailbox = directory.path().join("box");
        let held = DotLock::attempt(&mailbox, None).unwrap().unwrap();
        assert!(directory.path().join("box.lock").exists());
        assert!(DotLock::attempt(&mailbox, None).unwrap().is_none());
        drop(held);
        let held = DotLock::attempt(&mailbox, None).unwrap();
        assert!(held.is_some());
        drop(held);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_lock_of_a_process_of_ours_that_was_killed_is_broken_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let mailbox = directory.path().join("box");
        let held = DotLock::attempt(&mailbox, None).unwrap().unwrap();
        let path = directory.path().join("box.lock");
        let said = fs::read_to_string(&path).unwrap();
        assert_eq!(said, holder::this_process());
        fs::write(&path, said.replace(&std::process::id().to_string(), &holder::dead_process().to_string())).unwrap();
        let taken = DotLock::attempt(&mailbox, None).unwrap();
        assert!(taken.is_some());
        drop(held);
        assert!(path.exists(), "it is not the one that was held before");
        drop(taken);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn somebody_elses_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let held = DotLock::attempt(&directory.path().join("box"), None).unwrap().unwrap();
        let path = directory.path().join("box.lock");
        fs::write(directory.path().join("other"), "").unwrap();
        fs::rename(directory.path().join("other"), &path).unwrap();
        drop(held);
        assert!(path.exists());
        let found = fs::symlink_metadata(&path).unwrap();
        assert!(!is_stale(&found));
        break_stale(&path, &found).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
