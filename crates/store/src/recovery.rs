//! Opening a failed index again while the store is open.

use parking_lot::{Mutex, MutexGuard};

use crate::Store;
use crate::index::{Commit, Index, IndexError, WriteTxn};
use crate::open::{self, OpenError};
use crate::pack::{Unapplied, log};
use crate::store::Inner;
use crate::tail::Tail;

/// An index that has been opened again, as it was at the last checkpoint. Nobody reads it before [`Recovery::finish`]; dropped
/// before that, the index stays failed and can be recovered another time.
#[must_use = "the index is not used before `finish`"]
pub struct Recovery<'s> {
    inner: &'s Inner,
    index: Index,
    unapplied: Mutex<Unapplied>,
    _appending: MutexGuard<'s, ()>,
    _writer: MutexGuard<'s, ()>,
}

impl Store {
    /// Opens the index again after [`IndexError::Failed`] (or the error that came before it): a full disk, an I/O error.
    ///
    /// The tail holds every record since the last checkpoint; it is applied by [`Recovery::write`]. Until the recovery is finished or dropped,
    /// whoever appends waits.
    pub fn recover_index(&self) -> Result<(Recovery<'_>, Tail), OpenError> {
        let inner = self.inner();
        let appending = inner.appending.lock();
        let writer = inner.writer.lock();
        if let Some(failed) = inner.index.write().take() {
            // Two handles must not write one file; the old one would when it is closed.
            failed.file().retire();
        }
        let (index, _, mark) = open::open_index(&inner.layout, &inner.identity, &inner.options)?;
        // Up to here everything was synced; what may come after it nobody was told of.
        let (end, pins) = {
            let unapplied = inner.unapplied.lock();
            (unapplied.end(), unapplied.pins().clone())
        };
        let log = log::read(&inner.layout, &inner.identity, mark, Some(end))?;
        if log.end != end {
            let position = log.end.position;
            return Err(OpenError::Corrupt { pack: position.pack, offset: position.offset });
        }
        let mut unapplied = Unapplied::new(mark, pins);
        let tail = open::tail(&index, &log, &mut unapplied)?;
        Ok((Recovery { inner, index, unapplied: Mutex::new(unapplied), _appending: appending, _writer: writer }, tail))
    }
}

impl Recovery<'_> {
    /// As [`Store::write`].
    pub fn write<T, E: From<IndexError>>(
        &self,
        change: impl FnOnce(&mut WriteTxn<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.index.write(change, |applied| {
            let mut unapplied = self.unapplied.lock();
            for (shard, sequence) in applied {
                unapplied.applied(*shard, *sequence);
            }
            (unapplied.mark(), self.inner.singles.next(), Commit::Visible)
        })
    }

    /// Puts the index into service.
    pub fn finish(self) {
        *self.inner.unapplied.lock() = self.unapplied.into_inner();
        *self.inner.index.write() = Some(self.index);
    }
}
