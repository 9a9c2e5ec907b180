//! The store as it is at one moment, for the time of a command.

use paquebot_formats::Access;
use paquebot_model::{Blob, Mailbox, Row, Rows, Scan, key};
use paquebot_store::{BodyFile, Location, ReadRows, ReadTxn, Store};
use paquebot_types::{AccountId, BlobId, MailboxId, MailboxName, ShardId};
use std::sync::Arc;

use crate::account::Account;
use crate::error::ServiceError;
use crate::foreign::{MessageBody, User, blocking, is_foreign, parse_blob};

/// Reads an account's rows and bodies.
#[derive(Clone)]
pub struct Reader {
    store: Arc<Store>,
    txn: ReadTxn,
    shard: ShardId,
    account: AccountId,
    foreign: Option<Arc<User>>,
}

impl Reader {
    pub(crate) fn new(account: &Account) -> Result<Self, ServiceError> {
        let store = account.service.store().clone();
        let txn = store.read()?;
        // After the snapshot was taken: one of a shard that was let go of meanwhile may show half of what it is replaced by.
        account.check_hosted()?;
        let foreign = account.foreign().cloned();
        Ok(Self { store, txn, shard: account.shard, account: account.id, foreign })
    }

    pub(crate) fn rows(&self) -> ReadRows {
        self.txn.rows(self.shard)
    }

    /// The account's foreign mailboxes, if a mailbox is one of them.
    fn foreign(&self, mailbox: MailboxId) -> Option<&Arc<User>> {
        self.foreign.as_ref().filter(|_| is_foreign(mailbox))
    }

    /// The same for a body.
    fn foreign_body(&self, blob: BlobId) -> Option<&Arc<User>> {
        self.foreign.as_ref().filter(|_| parse_blob(blob).is_some())
    }

    pub fn mailbox_named(&self, name: &MailboxName) -> Result<Option<MailboxId>, ServiceError> {
        if let Some(user) = self.foreign.as_ref().filter(|user| user.has(name)) {
            return blocking(|| user.mailbox_named(name));
        }
        let key = key::name(self.account, name);
        let id = self.rows().get_with(&key, |id| {
            let id = <[u8; 4]>::try_from(id).ok()?;
            MailboxId::new(u32::from_be_bytes(id))
        })?;
        match id {
            Some(Some(id)) => Ok(Some(id)),
            Some(None) => Err(ServiceError::DamagedRow(key)),
            None => Ok(None),
        }
    }

    /// A mailbox's row; `None` if there is none or it is deleted.
    pub fn mailbox(&self, id: MailboxId) -> Result<Option<Mailbox>, ServiceError> {
        if let Some(user) = self.foreign(id) {
            let live = blocking(|| user.open(id, Access::Read))?;
            return Ok(live.map(|live| Mailbox::clone(&live.current().mailbox)));
        }
        let key = key::mailbox(self.account, id);
        match self.rows().get(&key)? {
            Some(bytes) => {
                let mailbox = Mailbox::decode(&bytes).ok_or(ServiceError::DamagedRow(key))?;
                Ok(Some(mailbox).filter(|mailbox| mailbox.deleted_ms.is_none()))
            }
            None => Ok(None),
        }
    }

    /// Shows what is known of a body without opening it, without copying.
    pub fn blob<T>(&self, id: BlobId, see: impl FnOnce(Blob<'_>) -> T) -> Result<T, ServiceError> {
        if let Some(user) = self.foreign_body(id) {
            return blocking(|| user.blob(id, see));
        }
        let key = key::blob(self.account, id);
        let seen = self.rows().get_with(&key, |bytes| Blob::decode(bytes).map(see))?;
        match seen {
            Some(Some(seen)) => Ok(seen),
            Some(None) => Err(ServiceError::DamagedRow(key)),
            None => Err(ServiceError::NoBody),
        }
    }

    /// As [`Self::blob`], for all bodies from `first` to `last`, ascending, until `see` says stop: for neighbours, which cost a tenth so.
    /// `None` is a row that is damaged.
    pub fn blobs(
        &self,
        first: BlobId,
        last: BlobId,
        see: &mut dyn FnMut(BlobId, Option<Blob<'_>>) -> Scan,
    ) -> Result<(), ServiceError> {
        if let Some(user) = self.foreign_body(first) {
            return blocking(|| user.blobs(first, last, see));
        }
        let (from, mut to) = (key::blob(self.account, first), key::blob(self.account, last));
        // The end of a range is not in it.
        to.push(0);
        Ok(self.rows().scan(&from, &to, &mut |key, value| match key::parse_account_row(key) {
            Some((_, key::AccountRow::Blob(id))) => see(id, Blob::decode(value)),
            _ => Scan::Continue,
        })?)
    }

    /// Opens a message, whoever keeps it, to be read in pieces.
    pub fn message_body(&self, id: BlobId) -> Result<MessageBody, ServiceError> {
        match self.foreign_body(id) {
            Some(user) => blocking(|| user.body(id)),
            None => Ok(self.body(id)?.into()),
        }
    }

    /// Opens a body, to be read in pieces. It stays readable while it is open, whatever becomes of the message.
    pub fn body(&self, id: BlobId) -> Result<BodyFile, ServiceError> {
        self.body_at(self.location(id)?)
    }

    /// As [`Self::body`], where its location is known.
    pub fn body_at(&self, location: Location) -> Result<BodyFile, ServiceError> {
        Ok(self.store.body_file(location)?)
    }

    /// Where a body lies on this machine; `None` for one in another server's files.
    pub fn location_of(&self, id: BlobId) -> Result<Option<Location>, ServiceError> {
        match self.foreign_body(id) {
            Some(_) => Ok(None),
            None => self.location(id).map(Some),
        }
    }

    /// Where a body lies on this machine.
    pub fn location(&self, id: BlobId) -> Result<Location, ServiceError> {
        self.txn.location(self.shard, self.account, id)?.ok_or(ServiceError::NoBody)
    }

    /// Reads octets of a body from `offset` on: as many as fit into `buffer` and there are. Gives how many.
    pub fn read_body(&self, location: Location, offset: u64, buffer: &mut [u8]) -> Result<usize, ServiceError> {
        let left = location.len.saturating_sub(offset);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.store.read_body(location, offset, &mut buffer[..count])?;
        Ok(count)
    }
}
