//! Reading messages' rows and bodies for commands that take long.

use paquebot_mailbox::{Account, Location, MessageBody, ReadError, Reader, ServiceError};
use paquebot_message::{SummaryError, SummaryRef};
use paquebot_model::{Blob, Message, Scan};
use paquebot_types::{BlobHash, BlobId, SeqNum, ThreadId};

/// Octets read at a time.
pub(super) const CHUNK_BYTES: usize = 64 << 10;
/// What is not longer is held whole where that saves reading it twice.
pub(super) const HELD_BYTES: u64 = 256 << 10;

/// Bodies up to this size are read whole, whatever is wanted of them: that costs little, and what is wanted is proved by the checksum.
const SMALL_BYTES: u64 = 32 << 10;

/// Fetches that may fail for one command: after that what is not here is as good as not there, or a search would wait for each body.
const FAILED_FETCHES_MAX: u32 = 2;

/// EIO, EBADMSG and EUCLEAN: the disk or the filesystem could not read what it has.
const BROKEN: [i32; 3] = [5, 74, 117];

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error(transparent)]
    Summary(#[from] SummaryError),
    #[error("the index has no sound row for the body; `paquebot check` tells more")]
    NoRow,
    #[error("the body is shorter than the index says; `paquebot check` tells more")]
    Short,
    #[error("the body fails its checksum; `paquebot check` tells more")]
    Damaged,
}

impl Unreadable {
    /// Whether another machine has the body, but none could be asked.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Service(ServiceError::Unfetched(_)))
    }

    /// Whether the body is not here, or not as it was written, so that another machine's may be better.
    fn is_lacking(&self) -> bool {
        matches!(self, Self::Service(ServiceError::NoBody | ServiceError::Body(ReadError::Elsewhere { .. })))
            || self.is_damage()
    }

    /// Whether the body is here, but not as it was written.
    fn is_damage(&self) -> bool {
        match self {
            Self::Short | Self::Damaged => true,
            Self::Service(ServiceError::Body(error)) => match error {
                ReadError::Corrupt { .. } | ReadError::Gone { .. } => true,
                ReadError::Elsewhere { .. } => false,
                // What the disk itself says to be broken; too many open files, say, are no reason to doubt it.
                ReadError::Read { source, .. } => source.raw_os_error().is_some_and(|error| BROKEN.contains(&error)),
            },
            _ => false,
        }
    }
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

/// Looks at one message with what the index has of its body, and says whether to go on.
pub(super) type See<'s, 'm> = dyn FnMut(&'m (SeqNum, Message), Result<Indexed<'_>, Unreadable>) -> Scan + 's;

/// The first and the last body of messages whose bodies ascend with few others between them.
fn neighbours(messages: &[(SeqNum, Message)]) -> Option<(BlobId, BlobId)> {
    let (first, last) = (messages.first()?.1.blob, messages.last()?.1.blob);
    let ascend = messages.is_sorted_by(|(_, a), (_, b)| a.blob <= b.blob);
    let span = last.get().checked_sub(first.get())?;
    (ascend && span <= 4 * messages.len() as u64).then_some((first, last))
}

/// An account's bodies.
pub(super) struct Bodies {
    account: Account,
    reader: Option<Reader>,
    open: Option<OpenBody>,
    /// The open body, if it is small.
    small: Vec<u8>,
    /// Where the body lies that was opened last, if it lies in the store.
    opened: Option<(BlobId, Option<Location>)>,
    failed_fetches: u32,
}

struct OpenBody {
    blob: BlobId,
    file: MessageBody,
}

impl OpenBody {
    fn is_small(&self) -> bool {
        self.file.len() <= SMALL_BYTES
    }
}

impl Bodies {
    pub fn new(account: Account) -> Self {
        Self { account, reader: None, open: None, small: Vec::new(), opened: None, failed_fetches: 0 }
    }

    /// The store as it was when this was first asked for since [`Self::release`].
    pub fn reader(&mut self) -> Result<&Reader, ServiceError> {
        match &mut self.reader {
            Some(reader) => Ok(reader),
            none => Ok(none.insert(self.account.reader()?)),
        }
    }

    /// Lets the store's old pages go: to be called before anything is waited for. An open body stays open.
    pub fn release(&mut self) {
        self.reader = None;
    }

    /// Shows what the index has of several messages' bodies, in the messages' order, until `see` says stop; gives how many were seen.
    ///
    /// Messages that came one after the other lie side by side in the index, and are read so.
    pub fn indexed_each<'m>(
        &mut self,
        messages: &'m [(SeqNum, Message)],
        see: &mut See<'_, 'm>,
    ) -> Result<usize, ServiceError> {
        let reader = self.reader()?;
        let mut seen = 0;
        if let Some((first, last)) = neighbours(messages) {
            let mut stopped = false;
            reader.blobs(first, last, &mut |id, blob| {
                while let Some(entry) = messages.get(seen).filter(|(_, message)| message.blob <= id) {
                    let indexed = match &blob {
                        Some(blob) if entry.1.blob == id => Indexed::new(*blob).map_err(Unreadable::from),
                        _ => Err(Unreadable::NoRow),
                    };
                    seen += 1;
                    if see(entry, indexed) == Scan::Stop {
                        stopped = true;
                        return Scan::Stop;
                    }
                }
                Scan::Continue
            })?;
            if stopped {
                return Ok(seen);
            }
        }
        // What is not side by side, and what was not there.
        for entry in messages.get(seen..).unwrap_or_default() {
            seen += 1;
            let mut scan = Scan::Continue;
            let read =
                reader.blob(entry.1.blob, |blob| scan = see(entry, Indexed::new(blob).map_err(Unreadable::from)));
            if let Err(error) = read {
                scan = see(entry, Err(error.into()));
            }
            if scan == Scan::Stop {
                break;
            }
        }
        Ok(seen)
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

    /// The body's length and the checksum that all of it must have, if one is kept.
    pub fn checksum(&mut self, blob: BlobId) -> Result<(u64, Option<u32>), Unreadable> {
        let open = self.open(blob)?;
        Ok((open.file.len(), open.file.crc()))
    }

    /// Adds octets of a body to `out`; where that fails, nothing. Those of small bodies are proved by the body's checksum.
    pub fn append(&mut self, blob: BlobId, offset: u64, count: usize, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let open = self.open(blob)?;
        if open.is_small() {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let octets = self.small.get(from..from.saturating_add(count)).ok_or(Unreadable::Short)?;
            out.extend_from_slice(octets);
            return Ok(());
        }
        let filled = out.len();
        out.resize(filled + count, 0);
        let read = open.file.read_at(offset, out.get_mut(filled..).unwrap_or_default());
        let read = read.map_err(Unreadable::from);
        let read = read.and_then(|read| if read == count { Ok(()) } else { Err(Unreadable::Short) });
        if read.is_err() {
            out.truncate(filled);
        }
        read
    }

    /// Adds a whole body, proved by its checksum, to `out`.
    pub fn append_whole(&mut self, blob: BlobId, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let (len, crc) = self.checksum(blob)?;
        let start = out.len();
        self.append(blob, 0, usize::try_from(len).map_err(|_| Unreadable::Short)?, out)?;
        match crc {
            Some(crc) if crc32c::crc32c(out.get(start..).unwrap_or_default()) != crc => Err(Unreadable::Damaged),
            _ => Ok(()),
        }
    }

    /// Where a body could not be read, has another machine's copy fetched: whoever was reading reads again, from where he was. Gives the
    /// error back if that is no help.
    pub async fn mend(&mut self, blob: BlobId, error: Unreadable) -> Result<(), Unreadable> {
        if !error.is_lacking() || !self.account.can_fetch() {
            return Err(error);
        }
        if self.failed_fetches >= FAILED_FETCHES_MAX {
            return Err(ServiceError::Unfetched("others could not be fetched just now".into()).into());
        }
        let opened = self.opened.take().filter(|(opened, _)| *opened == blob && error.is_damage());
        self.open = None;
        self.release();
        let fetched = self.account.fetch(blob, opened.and_then(|(_, location)| location)).await;
        fetched.map_err(|error| {
            self.failed_fetches += 1;
            error.into()
        })
    }

    fn open(&mut self, blob: BlobId) -> Result<&OpenBody, Unreadable> {
        if self.open.as_ref().is_none_or(|open| open.blob != blob) {
            self.open = None;
            self.opened = None;
            let location = self.reader()?.location_of(blob)?;
            self.opened = Some((blob, location));
            let file = match location {
                Some(location) => self.reader()?.body_at(location)?.into(),
                None => self.reader()?.message_body(blob)?,
            };
            let open = OpenBody { blob, file };
            if open.is_small() {
                self.small.resize(open.file.len() as usize, 0);
                if open.file.read_at(0, &mut self.small)? < self.small.len() {
                    return Err(Unreadable::Short);
                }
                if open.file.crc().is_some_and(|crc| crc32c::crc32c(&self.small) != crc) {
                    return Err(Unreadable::Damaged);
                }
            }
            self.open = Some(open);
        }
        self.open.as_ref().ok_or(Unreadable::Short)
    }
}
