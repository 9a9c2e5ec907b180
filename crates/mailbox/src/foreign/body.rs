//! A message's octets, whoever keeps them.

use std::sync::Arc;

use paquebot_formats::{Access, Body, FormatError};
use paquebot_model::{Blob, Rows as _, Scan, key, page_number};
use paquebot_store::BodyFile;
use paquebot_types::{BlobId, Uid};
use parking_lot::Mutex;

use super::open::ForeignMailbox;
use super::parse_blob;
use super::summary::{self, unreadable};
use super::user::User;
use crate::error::ServiceError;
use crate::live::Live;

/// Rows that are read from bodies before they are written down.
const FILLED: usize = 64;

/// An open message, to be read in pieces.
pub struct MessageBody(Kept);

enum Kept {
    Native(BodyFile),
    Foreign(Mutex<Box<dyn Body>>),
}

impl From<BodyFile> for MessageBody {
    fn from(file: BodyFile) -> Self {
        Self(Kept::Native(file))
    }
}

impl MessageBody {
    /// How many octets there are.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Kept::Native(file) => file.len(),
            Kept::Foreign(body) => body.lock().len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The CRC-32C that all octets together must have; `None` where none is kept.
    pub fn crc(&self) -> Option<u32> {
        match &self.0 {
            Kept::Native(file) => Some(file.crc()),
            Kept::Foreign(_) => None,
        }
    }

    /// Reads octets from `offset` on, as many as fit and there are; gives how many. They are not verified.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, ServiceError> {
        match &self.0 {
            Kept::Native(file) => Ok(file.read_at(offset, buffer)?),
            Kept::Foreign(body) => {
                let (mut body, mut filled) = (body.lock(), 0);
                while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                    match body.read_at(offset + filled as u64, rest).map_err(unreadable)? {
                        0 => break,
                        count => filled += count,
                    }
                }
                Ok(filled)
            }
        }
    }
}

impl User {
    /// The mailbox of a body, and which of its messages it is.
    fn owner_of(self: &Arc<Self>, blob: BlobId) -> Result<(Arc<Live>, Uid), ServiceError> {
        let (mailbox, uid) = parse_blob(blob).ok_or(ServiceError::NoBody)?;
        let live = self.in_use_or_open(mailbox, Access::Read)?.ok_or(ServiceError::NoBody)?;
        Ok((live, uid))
    }

    /// Opens a message. It stays readable, or fails: it never becomes another.
    pub fn body(self: &Arc<Self>, blob: BlobId) -> Result<MessageBody, ServiceError> {
        let (live, uid) = self.owner_of(blob)?;
        let foreign = live.foreign().ok_or(ServiceError::NoBody)?;
        let body = foreign.handle().mailbox()?.body(uid).map_err(gone)?;
        Ok(MessageBody(Kept::Foreign(Mutex::new(body))))
    }

    /// Shows what is known of a message without opening it; it is read if nothing is.
    pub fn blob<T>(self: &Arc<Self>, blob: BlobId, see: impl FnOnce(Blob<'_>) -> T) -> Result<T, ServiceError> {
        let key = key::blob(self.account(), blob);
        let mut see = Some(see);
        let mut look = || {
            self.rows()?
                .get_with(&key, |bytes| Blob::decode(bytes).and_then(|blob| Some(see.take()?(blob))))
                .map_err(ServiceError::from)
        };
        let mut seen = look()?;
        if seen.is_none() {
            let (live, uid) = self.owner_of(blob)?;
            live.foreign().ok_or(ServiceError::NoBody)?.fill(&live, &[uid])?;
            seen = look()?;
        }
        seen.ok_or(ServiceError::NoBody)?.ok_or(ServiceError::DamagedRow(key))
    }

    /// As [`Self::blob`], for all messages of one mailbox from `first` to `last`, ascending, until `see` says stop.
    pub fn blobs(
        self: &Arc<Self>,
        first: BlobId,
        last: BlobId,
        see: &mut dyn FnMut(BlobId, Option<Blob<'_>>) -> Scan,
    ) -> Result<(), ServiceError> {
        let (live, from) = self.owner_of(first)?;
        let to = parse_blob(last).map_or(from, |(_, uid)| uid);
        let foreign = live.foreign().ok_or(ServiceError::NoBody)?;
        foreign.fill(&live, &self.unknown(&live, from, to)?)?;
        let (from, mut to) = (key::blob(self.account(), first), key::blob(self.account(), last));
        // The end of a range is not in it.
        to.push(0);
        Ok(self.rows()?.scan(&from, &to, &mut |key, value| match key::parse_account_row(key) {
            Some((_, key::AccountRow::Blob(id))) => see(id, Blob::decode(value)),
            _ => Scan::Continue,
        })?)
    }

    /// Those of a mailbox's messages in a range of which nothing is known.
    fn unknown(&self, live: &Live, from: Uid, to: Uid) -> Result<Vec<Uid>, ServiceError> {
        let (rows, current) = (self.rows()?, live.current());
        let mut unknown = Vec::new();
        for number in page_number(from)..=page_number(to) {
            let messages = current.messages.page(number).map_or(&[][..], |page| &page.messages);
            for message in messages.iter().filter(|message| (from..=to).contains(&message.uid)) {
                if !rows.has_blob(self.account(), message.blob)? {
                    unknown.push(message.uid);
                }
            }
        }
        Ok(unknown)
    }
}

impl ForeignMailbox {
    /// Reads messages, and notes what is known of them from then on. Those that cannot be read are told in the log, and left out.
    fn fill(&self, live: &Live, uids: &[Uid]) -> Result<(), ServiceError> {
        for some in uids.chunks(FILLED) {
            let mut rows = Vec::with_capacity(some.len());
            for uid in some {
                let blob = super::blob_of(live.at.mailbox, *uid);
                // Others get the handle between two messages.
                let mut handle = self.handle();
                match summary::read(handle.mailbox()?, *uid, live.at.account, blob) {
                    Ok((_, row)) => rows.push(row),
                    Err(error) if uids.len() == 1 => return Err(error),
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(mailbox = ?self, uid = uid.get(), error, "a message cannot be read");
                    }
                }
            }
            self.user.index().change(live.at.shard, &rows)?;
        }
        Ok(())
    }
}

/// A message that another program has removed has no body any more.
fn gone(error: FormatError) -> ServiceError {
    match error {
        FormatError::NoMessage(_) => ServiceError::NoBody,
        error => error.into(),
    }
}
