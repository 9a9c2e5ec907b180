//! What is known of a foreign message without opening it: read once, and kept in the side index.

use paquebot_formats::{FormatError, OpenMailbox};
use paquebot_message::Splitter;
use paquebot_model::{Blob, RowChange, key};
use paquebot_types::{AccountId, BlobHash, BlobId, Uid};

use crate::error::ServiceError;
use crate::incoming::summary_of;

/// Octets that are read at a time.
const CHUNK: usize = 64 << 10;

/// Reads a message; gives its size and the row of its body.
pub(super) fn read(
    mailbox: &mut dyn OpenMailbox,
    uid: Uid,
    account: AccountId,
    blob: BlobId,
) -> Result<(u32, RowChange), ServiceError> {
    let mut body = mailbox.body(uid)?;
    let (mut splitter, mut hasher, mut size) = (Splitter::new(), blake3::Hasher::new(), 0_u64);
    let len = body.len();
    each_chunk(
        len,
        |offset, buffer| body.read_at(offset, buffer).map_err(unreadable),
        |octets| {
            splitter.push(octets);
            hasher.update(octets);
            size += octets.len() as u64;
            Ok(())
        },
    )?;
    let size = u32::try_from(size).map_err(|_| ServiceError::TooLarge)?;
    let (summary, thread) = summary_of(splitter);
    let row = Blob { hash: BlobHash(*hasher.finalize().as_bytes()), size, thread, summary: &summary };
    Ok((size, RowChange { key: key::blob(account, blob), value: Some(row.encode()) }))
}

/// Reads a body of about so many octets from its begin to its end. `read` reads from a place on, and gives how many octets it read.
pub(super) fn each_chunk(
    len: u64,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<usize, ServiceError>,
    mut see: impl FnMut(&[u8]) -> Result<(), ServiceError>,
) -> Result<(), ServiceError> {
    let mut chunk = vec![0; usize::try_from(len).map_or(CHUNK, |len| len.clamp(1, CHUNK))];
    let mut offset = 0;
    loop {
        let count = read(offset, &mut chunk)?;
        let octets = chunk.get(..count).unwrap_or_default();
        if octets.is_empty() {
            return Ok(());
        }
        see(octets)?;
        offset += octets.len() as u64;
    }
}

pub(super) fn unreadable(source: std::io::Error) -> ServiceError {
    ServiceError::Format(FormatError::Io { doing: "read a message in", path: "the mailbox".into(), source })
}
