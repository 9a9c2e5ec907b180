//! Files and directories of a store, given to the server's user.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use crate::driver::Owner;
use crate::error::{FormatError, failed};

#[derive(Debug, Clone, Copy)]
pub struct Files {
    pub owner: Option<Owner>,
}

impl Files {
    /// Makes a directory with those above it, up to one that is there or made as it is.
    pub fn directory(self, base: &Path, directory: &Path) -> Result<(), FormatError> {
        let above = directory.parent().filter(|above| !above.exists() && above.starts_with(base));
        if let Some(above) = above {
            self.directory(base, above)?;
        }
        match std::fs::create_dir_all(directory) {
            Ok(()) => self.own(directory),
            Err(source) => Err(failed("make", directory, source)),
        }
    }

    pub fn write(self, path: &Path, octets: &[u8]) -> Result<(), FormatError> {
        let write = || {
            let mut file = File::create(path)?;
            file.write_all(octets)?;
            file.sync_all()
        };
        write().map_err(|source| failed("write", path, source))?;
        self.own(path)
    }

    pub fn own(self, path: &Path) -> Result<(), FormatError> {
        let Some(owner) = self.owner else { return Ok(()) };
        let owned = std::os::unix::fs::chown(path, Some(owner.user), Some(owner.group));
        owned.map_err(|source| failed("give to its owner", path, source))
    }

    /// Flushes the whole file system: a mailbox has more files than could be flushed one by one.
    pub fn flush(self, directory: &Path) -> Result<(), FormatError> {
        let flush = || rustix::fs::syncfs(File::open(directory)?).map_err(io::Error::from);
        flush().map_err(|source| failed("flush", directory, source))
    }
}
