//! Space that is kept for when the disk is full.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::fs::{FileSize, is_full};
use crate::layout::Layout;

/// A file of reserved space. On a full disk it is given up, so that flags can still be set and mail be expunged; while it is given
/// up no body is taken.
#[derive(Debug)]
pub(crate) struct Ballast {
    layout: Layout,
    bytes: u64,
    whole: AtomicBool,
}

impl Ballast {
    pub(crate) fn new(layout: Layout, bytes: u64) -> Self {
        Self { layout, bytes, whole: AtomicBool::new(bytes == 0) }
    }

    /// Takes the space again, if it was given up. Fails while the disk is still full.
    pub(crate) fn restore(&self) -> io::Result<()> {
        if self.whole.load(Ordering::Relaxed) {
            return Ok(());
        }
        let result = self.allocate();
        match &result {
            Ok(()) => self.whole.store(true, Ordering::Relaxed),
            // Half of it would be space that serves nobody.
            Err(error) if is_full(error) => self.cut().unwrap_or_default(),
            Err(_) => {}
        }
        result
    }

    /// Gives the space up. Says whether there was any.
    pub(crate) fn release(&self) -> bool {
        if self.bytes == 0 || !self.whole.swap(false, Ordering::Relaxed) {
            return false;
        }
        tracing::warn!(
            "the disk is full: the store's reserve is given up, and no message is taken until space is freed"
        );
        match self.cut() {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "cannot give up the store's reserve");
                false
            }
        }
    }

    fn allocate(&self) -> io::Result<()> {
        let path = self.path();
        let file = match self.layout.fs.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.layout.fs.create_new(&path)?,
            result => result?,
        };
        file.allocate(0, self.bytes, FileSize::Extend)
    }

    fn cut(&self) -> io::Result<()> {
        let file = self.layout.fs.open(&self.path())?;
        file.set_len(0)?;
        // Some file systems free the space only with this.
        file.sync_all()
    }

    fn path(&self) -> PathBuf {
        self.layout.reserve()
    }
}
