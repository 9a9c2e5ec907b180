//! Upkeep: what was expunged long enough ago is forgotten, and its space given back.

use std::collections::HashSet;
use std::sync::Arc;

use paquebot_model::{Mailbox, Op, Outcome, Page, Row, Rows, RowsError, Scan, Tombstone, key};
use paquebot_types::{AccountId, BlobId, ShardId};

use crate::error::{ChangeError, ServiceError};
use crate::service::Service;

/// Bodies forgotten in one op, at most.
const COLLECTED_AT_ONCE: usize = 1000;

/// What a round of upkeep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Upkeep {
    pub accounts: u64,
    /// Accounts in which something could not come back any more.
    pub purged: u64,
    /// Bodies that nothing named any more.
    pub collected: u64,
}

impl Service {
    /// Goes once through all accounts: what was expunged or deleted before `before_ms` cannot come back any more, and bodies that nothing names are
    /// forgotten. Their bytes are given back by [`paquebot_store::Store::reclaim`].
    pub async fn upkeep(self: &Arc<Self>, shard: ShardId, before_ms: u64) -> Result<Upkeep, ChangeError> {
        let mut done = Upkeep::default();
        let mut after = None;
        while let Some(account) = self.blocking(move |service| service.account_after(shard, after)).await? {
            after = Some(account);
            done.accounts += 1;
            if self.blocking(move |service| service.is_due(shard, account, before_ms)).await? {
                self.change(shard, Op::Purge { account, before_ms }, Vec::new()).await?;
                done.purged += 1;
                let unnamed = self.blocking(move |service| service.unnamed_blobs(shard, account)).await?;
                for blobs in unnamed.chunks(COLLECTED_AT_ONCE) {
                    let op = Op::Collect { account, blobs: blobs.to_vec() };
                    if self.change(shard, op, Vec::new()).await? == Outcome::Done {
                        done.collected += blobs.len() as u64;
                    }
                }
            }
        }
        Ok(done)
    }

    /// Reads on a thread that may wait for the disk.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let service = self.clone();
        tokio::task::spawn_blocking(move || read(&service)).await.unwrap_or(Err(ServiceError::Stopping))
    }

    fn account_after(&self, shard: ShardId, after: Option<AccountId>) -> Result<Option<AccountId>, ServiceError> {
        let (first, end) = key::accounts();
        let from = after.map_or(first, |account| key::account_rows(account).1);
        let mut found = None;
        self.store().read()?.rows(shard).scan(&from, &end, &mut |key, _| {
            found = key::parse_account_row(key).map(|(account, _)| account);
            Scan::Stop
        })?;
        Ok(found)
    }

    /// Whether something of the account has waited long enough.
    fn is_due(&self, shard: ShardId, account: AccountId, before_ms: u64) -> Result<bool, ServiceError> {
        let rows = self.store().read()?.rows(shard);
        let mut due = false;
        each(&rows, key::mailboxes(account), Mailbox::decode, |mailbox| {
            due |= mailbox.deleted_ms.is_some_and(|time| time < before_ms);
        })?;
        each(&rows, key::tombstones(account), Tombstone::decode, |tombstone| {
            due |= tombstone.time_ms < before_ms && !tombstone.messages.is_empty();
        })?;
        Ok(due)
    }

    /// The account's bodies that neither a message nor one that could come back names.
    fn unnamed_blobs(&self, shard: ShardId, account: AccountId) -> Result<Vec<BlobId>, ServiceError> {
        let rows = self.store().read()?.rows(shard);
        let mut named: HashSet<BlobId> = HashSet::new();
        each(&rows, key::all_pages(account), Page::decode, |page| {
            named.extend(page.messages.iter().map(|message| message.blob));
        })?;
        let mut damaged = false;
        each(&rows, key::tombstones(account), Tombstone::decode, |tombstone| {
            for page in &tombstone.messages {
                match Page::decode(page) {
                    Some(page) => named.extend(page.messages.iter().map(|message| message.blob)),
                    None => damaged = true,
                }
            }
        })?;
        if damaged {
            return Err(ServiceError::DamagedRow(key::tombstones(account).0));
        }
        let (from, to) = key::blobs(account);
        let mut unnamed = Vec::new();
        rows.scan(&from, &to, &mut |key, _| {
            if let Some((_, key::AccountRow::Blob(blob))) = key::parse_account_row(key)
                && !named.contains(&blob)
            {
                unnamed.push(blob);
            }
            Scan::Continue
        })?;
        Ok(unnamed)
    }
}

/// Shows every row of a range, decoded. A row that cannot be read ends it: nothing may be forgotten on a guess.
fn each<T>(
    rows: &dyn Rows,
    (from, to): key::KeyRange,
    decode: impl Fn(&[u8]) -> Option<T>,
    mut see: impl FnMut(T),
) -> Result<(), ServiceError> {
    let mut damaged = None;
    let scanned: Result<(), RowsError> = rows.scan(&from, &to, &mut |key, value| match decode(value) {
        Some(row) => {
            see(row);
            Scan::Continue
        }
        None => {
            damaged = Some(key.to_vec());
            Scan::Stop
        }
    });
    scanned?;
    match damaged {
        Some(key) => Err(ServiceError::DamagedRow(key)),
        None => Ok(()),
    }
}
