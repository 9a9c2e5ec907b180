//! A message on its way in: its octets go to memory or, if there are many, to disk as they come, and its structure is learned on the way.

use std::sync::Arc;

use bytes::Bytes;
use paquebot_log::Body;
use paquebot_message::{Splitter, SummaryRef, summarise};
use paquebot_model::NewMessage;
use paquebot_store::{ReadError, StagedBody, Store};
use paquebot_types::{BlobHash, Flags, InternalDate, Keyword, ThreadId};

use crate::error::ServiceError;
use crate::service::Service;

/// A message of more octets is written to disk as it comes.
const STAGED_BYTES: usize = 256 << 10;

/// A message that is being received. Dropped, nothing of it is left.
pub struct Incoming {
    service: Arc<Service>,
    place: Place,
    splitter: Splitter,
    size: u64,
}

enum Place {
    Memory(Vec<u8>),
    Disk(StagedBody),
}

/// A message that has been received, to be appended to a mailbox or several.
#[derive(Clone)]
pub struct Ready {
    body: Body,
    size: u32,
    thread: Option<ThreadId>,
    summary: Vec<u8>,
}

impl Incoming {
    pub(crate) fn new(service: Arc<Service>, size: Option<u64>) -> Self {
        let expected = size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= STAGED_BYTES);
        let place = Place::Memory(Vec::with_capacity(expected.unwrap_or(0)));
        Self { service, place, splitter: Splitter::new(), size: 0 }
    }

    /// Octets received so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next octets, as they came.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), ServiceError> {
        self.splitter.push(octets);
        self.size += octets.len() as u64;
        match &mut self.place {
            Place::Memory(bytes) if bytes.len() + octets.len() <= STAGED_BYTES => bytes.extend_from_slice(octets),
            Place::Memory(bytes) => {
                let mut staged = self.service.store().stage()?;
                staged.write(bytes)?;
                staged.write(octets)?;
                self.place = Place::Disk(staged);
            }
            Place::Disk(staged) => staged.write(octets)?,
        }
        Ok(())
    }

    /// Ends the message. A large one is on disk when this returns.
    pub async fn finish(self) -> Result<Ready, ServiceError> {
        let size = u32::try_from(self.size).map_err(|_| ServiceError::TooLarge)?;
        let (summary, thread) = summary_of(self.splitter);
        let body = match self.place {
            Place::Memory(bytes) => {
                let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
                Body::Bytes { hash, bytes: Bytes::from(bytes) }
            }
            Place::Disk(staged) => {
                let finished = tokio::task::spawn_blocking(move || staged.finish()).await;
                Body::Staged(Arc::new(finished.map_err(|_| ServiceError::Stopping)??))
            }
        };
        Ok(Ready { body, size, thread, summary })
    }
}

/// What is kept of a message beside its octets, and the thread that it names.
pub(crate) fn summary_of(splitter: Splitter) -> (Vec<u8>, Option<ThreadId>) {
    let summary = summarise(&splitter.finish());
    let thread = SummaryRef::new(&summary).ok().and_then(|summary| summary.thread_id());
    (summary, thread)
}

/// Reads octets of a body that is to be appended from `offset` on, as many as fit and there are; gives how many.
pub(crate) fn read_body(store: &Store, body: &Body, offset: u64, buffer: &mut [u8]) -> Result<usize, ReadError> {
    match body {
        Body::Bytes { bytes, .. } => {
            let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
        Body::Staged(blob) => store.read_body(blob.location(), offset, buffer),
    }
}

impl Service {
    /// A message to be written to, `size` octets if that is known.
    pub fn incoming(self: &Arc<Self>, size: Option<u64>) -> Incoming {
        Incoming::new(self.clone(), size)
    }
}

impl Ready {
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Reads octets of the message from `offset` on, as many as fit into `buffer` and there are, and gives how many: a delivery to several
    /// makes one message from another. Reads the disk for a large one.
    pub fn read(&self, service: &Service, offset: u64, buffer: &mut [u8]) -> Result<usize, ServiceError> {
        Ok(read_body(service.store(), &self.body, offset, buffer)?)
    }

    /// The message as it is to be appended, and its body.
    pub fn message(&self, flags: Flags, keywords: Vec<Keyword>, internal_date: InternalDate) -> (NewMessage, Body) {
        let (size, thread, summary) = (self.size, self.thread, self.summary.clone());
        let message = NewMessage { body: self.body.hash(), size, thread, summary, flags, keywords, internal_date };
        (message, self.body.clone())
    }
}
