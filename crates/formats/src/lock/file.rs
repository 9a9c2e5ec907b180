//! The file beside `/tmp` that stands for a mailbox: c-client's lock for what the mailbox's own file cannot lock.
//!
//! Its name is made of the mailbox's device and inode; what counts is the `flock` on it. mbx holds it for a moment around each change; mbox and MMDF hold
//! it for a session, with the holder's process number in it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;

use super::{Flock, Kind};
use crate::error::FormatError;

/// Where c-client has them.
const DIRECTORY: &str = "/tmp";
/// A lock that is held for a moment only is waited for this long.
const WAIT: Duration = Duration::from_secs(300);

/// A lock file that is held. Dropped, it is removed and let go.
#[derive(Debug)]
pub struct LockFile {
    file: File,
    path: PathBuf,
}

impl LockFile {
    /// The lock file of the mailbox whose file has this device and inode.
    pub fn path(device: u64, inode: u64) -> PathBuf {
        Path::new(DIRECTORY).join(format!(".{device:x}.{inode:x}"))
    }

    /// Waits for the lock of an open mailbox.
    pub fn take(mailbox: &File) -> Result<Self, FormatError> {
        let (device, inode) = match mailbox.metadata() {
            Ok(metadata) => (metadata.dev(), metadata.ino()),
            Err(source) => {
                return Err(FormatError::Io { doing: "look at", path: PathBuf::from("the mailbox"), source });
            }
        };
        let path = Self::path(device, inode);
        let until = Instant::now() + WAIT;
        loop {
            let file = open(&path)?;
            Flock::take_until(&file, Kind::Exclusive, &path, until)?;
            if is_current(&file, &path).map_err(|source| failed("look at", &path, source))? {
                // So that everybody can take it, whoever made it.
                let _ = file.set_permissions(std::fs::Permissions::from_mode(0o666));
                return Ok(Self { file, path });
            }
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Whoever waits for it finds that the file that he then holds has no name any more, and makes another.
        if matches!(is_current(&self.file, &self.path), Ok(true)) {
            let _ = std::fs::remove_file(&self.path);
        }
        let _ = Flock::leave(&self.file);
    }
}

/// Opens the file, or makes it. A link is somebody's trap: whoever follows it writes to another file.
pub(super) fn open(path: &Path) -> Result<File, FormatError> {
    loop {
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() || found.nlink() > 1 => {
                let by = "it is a link, which a lock file never is: remove it".to_owned();
                return Err(FormatError::InUse { path: path.into(), by });
            }
            Ok(_) => match OpenOptions::new().read(true).write(true).custom_flags(nofollow()).open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return opened.map_err(|source| failed("open", path, source)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => match make(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map_err(|source| failed("make", path, source)),
            },
            Err(source) => return Err(failed("look at", path, source)),
        }
    }
}

/// Makes the file so that it has a name only once everybody may open it: c-client gives up where it may not, and the umask is the whole process's.
fn make(path: &Path) -> io::Result<File> {
    let directory = path.parent().unwrap_or(Path::new(DIRECTORY));
    let unnamed = rustix::fs::OFlags::TMPFILE.bits() as i32;
    match OpenOptions::new().read(true).write(true).mode(0o666).custom_flags(unnamed).open(directory) {
        Ok(file) => {
            file.set_permissions(std::fs::Permissions::from_mode(0o666))?;
            let own = format!("/proc/self/fd/{}", file.as_raw_fd());
            rustix::fs::linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW)?;
            Ok(file)
        }
        // A file system without unnamed files.
        Err(error)
            if error.raw_os_error().is_some_and(|error| NO_UNNAMED.contains(&Errno::from_raw_os_error(error))) =>
        {
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o666).open(path)
        }
        Err(error) => Err(error),
    }
}

/// What opening an unnamed file comes to where there are none.
const NO_UNNAMED: [Errno; 3] = [Errno::OPNOTSUPP, Errno::ISDIR, Errno::INVAL];

/// Whether the path still is this file: an earlier holder may have removed it between our opening and our locking.
pub(super) fn is_current(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(found) => {
            Ok(found.is_file() && found.dev() == ours.dev() && found.ino() == ours.ino() && found.nlink() == 1)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn nofollow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits() as i32
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> FormatError {
    FormatError::Io { doing, path: path.into(), source }
}
