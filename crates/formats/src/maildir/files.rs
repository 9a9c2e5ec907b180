//! Making files as the mailboxes' owner would, and replacing them whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{failed, is_absent};
use crate::driver::{Owner, Root};
use crate::error::FormatError;

/// Whose the new files are, and who may read them: as with the maildir itself.
#[derive(Debug, Clone, Copy)]
pub struct Files {
    owner: Option<Owner>,
    /// Of directories; of files without the right to execute.
    mode: u32,
}

impl Files {
    pub fn of(root: &Root) -> Self {
        let found = std::fs::metadata(&root.directory).ok();
        let mode = found.map(|found| found.permissions().mode() & 0o777).filter(|mode| mode & 0o700 == 0o700);
        Self { owner: root.owner, mode: mode.unwrap_or(0o700) }
    }

    /// A new file; an error if there is one of the name.
    pub fn create_new(self, path: &Path) -> io::Result<File> {
        self.settle(OpenOptions::new().write(true).create_new(true).mode(self.mode & 0o666).open(path)?)
    }

    fn settle(self, file: File) -> io::Result<File> {
        if let Some(owner) = self.owner {
            std::os::unix::fs::fchown(&file, Some(owner.user), Some(owner.group))?;
        }
        Ok(file)
    }

    /// A directory; it may be there.
    pub fn make_directory(self, path: &Path) -> io::Result<()> {
        match std::fs::DirBuilder::new().mode(self.mode).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            made => made?,
        }
        if let Some(owner) = self.owner {
            std::os::unix::fs::chown(path, Some(owner.user), Some(owner.group))?;
        }
        Ok(())
    }

    /// Gives the file at `path` this content: durable, and at no moment half of it. It is made at `temporary`, which whoever calls has to himself.
    /// Others notice by the time of change, which is always a later second than before. Gives the metadata of what is there then.
    pub fn replace(self, path: &Path, temporary: &Path, content: &[u8]) -> Result<std::fs::Metadata, FormatError> {
        let make = || {
            let before = match std::fs::metadata(path) {
                Ok(before) => Some(before),
                Err(error) if is_absent(&error) => None,
                Err(error) => return Err(error),
            };
            match std::fs::remove_file(temporary) {
                Err(error) if !is_absent(&error) => return Err(error),
                _ => {}
            }
            let mut file = self.create_new(temporary)?;
            file.write_all(content)?;
            let made = file.metadata()?;
            if let Some(before) = before.filter(|before| before.mtime() >= made.mtime()) {
                let later = u64::try_from(before.mtime()).unwrap_or(0).saturating_add(1);
                file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(later))?;
            }
            file.sync_all()?;
            std::fs::rename(temporary, path)?;
            file.metadata()
        };
        let made = make().map_err(|source| failed("write", path, source))?;
        if let Some(directory) = path.parent() {
            sync(directory)?;
        }
        Ok(made)
    }
}

/// Makes the names in a directory durable.
pub fn sync(directory: &Path) -> Result<(), FormatError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(|source| failed("flush", directory, source))
}
