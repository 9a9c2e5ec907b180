//! A mailbox as it was at one moment.

use std::sync::Arc;

use paquebot_model::{Mailbox, Page, Row, RowChange, Rows, Scan, key};
use paquebot_store::ReadTxn;
use paquebot_types::{AccountId, MailboxId, ShardId};

use crate::error::ServiceError;
use crate::tree::PageTree;

/// A mailbox's place among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MailboxKey {
    pub shard: ShardId,
    pub account: AccountId,
    pub mailbox: MailboxId,
}

/// A mailbox and its messages at one moment. Sessions share it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub mailbox: Arc<Mailbox>,
    pub messages: PageTree,
    /// The mailbox has been deleted: nothing more will change.
    pub gone: bool,
    /// Why nobody can change it, where a driver cannot or may not any more.
    pub read_only: Option<Arc<str>>,
    /// Which session changes it, where a format has one: the last to have come ([`crate::Live::take_over`]). 0 where many may.
    pub holder: u64,
}

impl Snapshot {
    /// A version that may be changed by all.
    pub fn new(mailbox: Mailbox, messages: PageTree) -> Self {
        Self { mailbox: Arc::new(mailbox), messages, gone: false, read_only: None, holder: 0 }
    }

    /// Reads a mailbox from the index; `None` if there is none, or it is deleted.
    pub fn load(txn: &ReadTxn, at: MailboxKey) -> Result<Option<Self>, ServiceError> {
        let rows = txn.rows(at.shard);
        let mailbox_key = key::mailbox(at.account, at.mailbox);
        let Some(bytes) = rows.get(&mailbox_key)? else { return Ok(None) };
        let mailbox = Mailbox::decode(&bytes).ok_or(ServiceError::DamagedRow(mailbox_key))?;
        if mailbox.deleted_ms.is_some() {
            return Ok(None);
        }
        let (from, to) = key::pages(at.account, at.mailbox, 0, u32::MAX);
        let (mut pages, mut damaged) = (Vec::new(), None);
        rows.scan(&from, &to, &mut |key, value| match (page_number(key), Page::decode(value)) {
            (Some(number), Some(page)) => {
                pages.push((number, Arc::new(page)));
                Scan::Continue
            }
            _ => {
                damaged = Some(key.to_vec());
                Scan::Stop
            }
        })?;
        if let Some(key) = damaged {
            return Err(ServiceError::DamagedRow(key));
        }
        Ok(Some(Self::new(mailbox, PageTree::from_pages(pages))))
    }

    /// The next version: with those of a record's changes that are this mailbox's. Others are passed over, and so are rows that cannot be
    /// read: the model has just written them.
    #[must_use]
    pub fn with_changes<'a>(&self, mailbox: MailboxId, changes: impl IntoIterator<Item = &'a RowChange>) -> Self {
        let mut next = self.clone();
        let mut pages = Vec::new();
        for change in changes {
            match (key::parse_account_row(&change.key), &change.value) {
                (Some((_, key::AccountRow::Mailbox(id))), value) if id == mailbox => {
                    match value.as_deref().and_then(Mailbox::decode) {
                        Some(row) => {
                            next.gone = row.deleted_ms.is_some();
                            next.mailbox = Arc::new(row);
                        }
                        None => next.gone = true,
                    }
                }
                (Some((_, key::AccountRow::Page(id, number))), value) if id == mailbox => {
                    let page = value.as_deref().and_then(Page::decode).unwrap_or_default();
                    pages.push((number, Arc::new(page)));
                }
                _ => {}
            }
        }
        if !pages.is_empty() {
            next.messages = next.messages.with_pages(&pages);
        }
        next
    }
}

fn page_number(key: &[u8]) -> Option<u32> {
    match key::parse_account_row(key) {
        Some((_, key::AccountRow::Page(_, number))) => Some(number),
        _ => None,
    }
}
