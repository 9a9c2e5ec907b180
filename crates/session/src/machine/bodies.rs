//! Reading messages' rows and bodies for commands that take long.

use paquebot_mailbox::{Account, Reader, ServiceError};
use paquebot_message::{SummaryError, SummaryRef};
use paquebot_model::Blob;
use paquebot_types::{BlobHash, BlobId, ThreadId};

/// Octets read at a time.
pub(super) const CHUNK_BYTES: usize = 64 << 10;
/// What is not longer is held whole where that saves reading it twice.
pub(super) const HELD_BYTES: u64 = 256 << 10;

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error(transparent)]
    Summary(#[from] SummaryError),
    #[error("the body is shorter than the index says; `paquebot check` tells more")]
    Short,
}

/// What the index has of a message's body.
#[derive(Clone, Copy)]
pub(super) struct Indexed<'a> {
    pub hash: BlobHash,
    pub thread: Option<ThreadId>,
    pub summary: SummaryRef<'a>,
}

impl<'a> Indexed<'a> {
    fn new(blob: Blob<'a>) -> Result<Self, SummaryError> {
        Ok(Self { hash: blob.hash, thread: blob.thread, summary: SummaryRef::new(blob.summary)? })
    }
}

/// A copy of what the index has of a body, for where it is needed while others are waited for. Used again from message to message.
#[derive(Default)]
pub(super) struct Row {
    known: Option<(BlobHash, Option<ThreadId>)>,
    summary: Vec<u8>,
}

impl Row {
    pub fn indexed(&self) -> Result<Indexed<'_>, Unreadable> {
        let (hash, thread) = self.known.ok_or(Unreadable::Short)?;
        Ok(Indexed { hash, thread, summary: SummaryRef::new(&self.summary)? })
    }
}

/// An account's bodies.
pub(super) struct Bodies {
    account: Account,
    reader: Option<Reader>,
}

impl Bodies {
    pub fn new(account: Account) -> Self {
        Self { account, reader: None }
    }

    /// The store as it was when this was first asked for since [`Self::release`].
    pub fn reader(&mut self) -> Result<&Reader, ServiceError> {
        match &mut self.reader {
            Some(reader) => Ok(reader),
            none => Ok(none.insert(self.account.reader()?)),
        }
    }

    /// Lets the store's old pages go: to be called before anything is waited for.
    pub fn release(&mut self) {
        self.reader = None;
    }

    /// Shows what the index has of a body, without copying it.
    pub fn indexed<T>(&mut self, blob: BlobId, see: impl FnOnce(Indexed<'_>) -> T) -> Result<T, Unreadable> {
        Ok(self.reader()?.blob(blob, |blob| Indexed::new(blob).map(see))??)
    }

    /// Copies what the index has of a body.
    pub fn copy_row(&mut self, blob: BlobId, row: &mut Row) -> Result<(), ServiceError> {
        row.known = None;
        self.reader()?.blob(blob, |blob| {
            row.known = Some((blob.hash, blob.thread));
            row.summary.clear();
            row.summary.extend_from_slice(blob.summary);
        })
    }

    /// Fills `buffer` with a body's octets from `offset` on.
    fn read_exact(&mut self, blob: BlobId, offset: u64, buffer: &mut [u8]) -> Result<(), Unreadable> {
        let reader = self.reader()?;
        let location = reader.location(blob)?;
        match reader.read_body(location, offset, buffer)? {
            count if count == buffer.len() => Ok(()),
            _ => Err(Unreadable::Short),
        }
    }

    /// Adds octets of a body to `out`; where that fails, nothing.
    pub fn append(&mut self, blob: BlobId, offset: u64, count: usize, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let filled = out.len();
        out.resize(filled + count, 0);
        let read = self.read_exact(blob, offset, out.get_mut(filled..).unwrap_or_default());
        if read.is_err() {
            out.truncate(filled);
        }
        read
    }
}
