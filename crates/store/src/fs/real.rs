//! The operating system's files.

use std::fs::{self, DirBuilder, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use paquebot_guard::{FileSystem, Purpose, Verdict};
use rustix::fs::FallocateFlags;

use super::{File, FileSize, Fs, FsKind, FsLock, LockError};

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFs;

impl Fs for RealFs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            result => result,
        }
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(OpenOptions::new().read(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        // A name that is not UTF-8 is none of ours.
        fs::read_dir(path)?
            .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
            .collect()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn kind(&self, path: &Path) -> io::Result<FsKind> {
        let found = FileSystem::of(path)?;
        Ok(match paquebot_guard::judge(&found, Purpose::Store, &FileSystem::of) {
            // An overlay is of the kind of what is below it; a type of mount that is shared may have a number that nobody knows.
            Verdict::Refused { magic, .. } if FsKind(magic).shared().is_some() => FsKind(magic),
            Verdict::Refused { .. } => FsKind::NFS,
            // A local disk behind a user-space driver has FUSE's number.
            Verdict::Local { .. } if FsKind(found.magic) == FsKind::FUSE => FsKind(0),
            Verdict::Local { .. } => FsKind(found.magic),
        })
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FsLock>, LockError> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
                return Err(LockError::Held { pid });
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Box::new(RealLock(file)))
    }
}

#[derive(Debug)]
struct RealLock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] fs::File);

impl FsLock for RealLock {}

impl File for fs::File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buf, offset)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        // The kernel takes no more than this many slices in one call (`IOV_MAX`).
        let slices = slices.get(..1024).unwrap_or(slices);
        Ok(rustix::io::pwritev(self, slices, offset)?)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn allocate(&self, offset: u64, len: u64, size: FileSize) -> io::Result<()> {
        let flags = match size {
            FileSize::Extend => FallocateFlags::empty(),
            FileSize::Keep => FallocateFlags::KEEP_SIZE,
        };
        match rustix::fs::fallocate(self, flags, offset, len) {
            // Such a file system cannot reserve space; a full disk then shows when something is written.
            Err(error) if error == rustix::io::Errno::OPNOTSUPP && size == FileSize::Extend => {
                let end = offset.saturating_add(len);
                if end > self.metadata()?.len() { self.set_len(end) } else { Ok(()) }
            }
            Err(error) if error == rustix::io::Errno::OPNOTSUPP => Ok(()),
            result => Ok(result?),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_all()
    }
}
