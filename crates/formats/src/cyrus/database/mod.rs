//! Cyrus's databases: sorted keys with values, in one of several kinds of file that its magic tells.

mod flat;
mod skiplist;
mod twoskip;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use twoskip::Twoskip;

use super::report;
use crate::error::FormatError;
use crate::lock::{FileLock, Kind as Lock};

pub use twoskip::write as write_twoskip;

/// Cyrus holds a database's lock for one transaction.
const WAIT: Duration = Duration::from_secs(30);
/// A database that must be read as a whole is this long at most.
const BYTES_MAX: u64 = 256 << 20;
/// Of a B-tree and of a hash, at octet 12.
const BERKELEY: [&[u8]; 2] = [&[0x62, 0x31, 0x05, 0x00], &[0x61, 0x15, 0x06, 0x00]];
/// A file that is replaced more often while it is opened is given up.
const REPLACED_MAX: usize = 100;

/// A database, locked for reading while this is there.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Twoskip(Twoskip),
    /// Read as a whole.
    Sorted(BTreeMap<Vec<u8>, Vec<u8>>),
}

/// Takes a key and its value, and says whether more are wanted.
pub type Each<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// Where reading had to stop, and why.
pub(super) type Damage = (u64, &'static str);

impl Database {
    /// `None`: there is no such file.
    pub fn open(path: &Path) -> Result<Option<Self>, FormatError> {
        let failed = |doing, source| FormatError::Io { doing, path: path.into(), source };
        let Some(mut file) = lock_current(path)? else { return Ok(None) };
        let length = file.metadata().map_err(|source| failed("look at", source))?.len();
        let mut start = Vec::new();
        file.by_ref().take(20).read_to_end(&mut start).map_err(|source| failed("read", source))?;
        if start.starts_with(twoskip::MAGIC) {
            let kind = Twoskip::open(file, length).map_err(|(offset, what)| damaged(path, offset, what))?;
            return Ok(Some(Self { path: path.into(), kind: Kind::Twoskip(kind) }));
        }
        if start.get(12..16).is_some_and(|magic| BERKELEY.contains(&magic)) {
            let text = format!("{} is a Berkeley database: convert it with cvt_cyrusdb", path.display());
            return Err(FormatError::CannotHold(text));
        }
        if length > BYTES_MAX {
            return Err(FormatError::CannotHold(format!("{} is too large to be read as a whole", path.display())));
        }
        let mut octets = Vec::new();
        file.rewind().map_err(|source| failed("read", source))?;
        file.take(BYTES_MAX).read_to_end(&mut octets).map_err(|source| failed("read", source))?;
        let (sorted, damage) = match octets.starts_with(skiplist::MAGIC) {
            true => skiplist::read(&octets),
            false => flat::read(&octets),
        };
        if let Some((offset, what)) = damage {
            report::damage(path, offset, what);
        }
        Ok(Some(Self { path: path.into(), kind: Kind::Sorted(sorted) }))
    }

    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut found = None;
        self.scan(key, &mut |at, value| {
            if at == key {
                found = Some(value.to_vec());
            }
            ControlFlow::Break(())
        });
        found
    }

    /// Gives the keys that begin so with their values, in order, until told to stop. Where the file is damaged they end, and the log says so.
    pub fn scan(&self, prefix: &[u8], each: Each<'_>) {
        match &self.kind {
            Kind::Twoskip(file) => {
                if let Err((offset, what)) = file.scan(prefix, each) {
                    report::damage(&self.path, offset, what);
                }
            }
            Kind::Sorted(sorted) => {
                for (key, value) in sorted.range(prefix.to_vec()..) {
                    if !key.starts_with(prefix) || each(key, value).is_break() {
                        return;
                    }
                }
            }
        }
    }
}

/// The file of this name, locked: another may have taken its place while we waited. `None` if there is none.
fn lock_current(path: &Path) -> Result<Option<File>, FormatError> {
    let failed = |doing, source| FormatError::Io { doing, path: path.into(), source };
    for _ in 0..REPLACED_MAX {
        let file = match File::open(path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            file => file.map_err(|source| failed("open", source))?,
        };
        FileLock::take_until(&file, Lock::Shared, path, Instant::now() + WAIT)?;
        let ours = file.metadata().map_err(|source| failed("look at", source))?;
        if ours.is_dir() {
            let text = format!("{} is a directory: databases of that kind cannot be read", path.display());
            return Err(FormatError::CannotHold(text));
        }
        match std::fs::metadata(path) {
            Ok(now) if (now.dev(), now.ino()) == (ours.dev(), ours.ino()) => return Ok(Some(file)),
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed("look at", source)),
            _ => {}
        }
    }
    Err(FormatError::InUse { path: path.into(), by: "another program replaces it again and again".into() })
}

fn damaged(path: &Path, offset: u64, what: &str) -> FormatError {
    FormatError::Damaged { path: path.into(), offset, what: what.into() }
}
