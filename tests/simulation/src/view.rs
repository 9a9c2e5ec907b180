//! What a node shows of a shard.

use std::collections::BTreeMap;

use paquebot_model::key::{self, AccountRow};
use paquebot_model::{Blob, Mailbox, Page, Row, Rows, Scan};
use paquebot_store::{ReadTxn, Wanted};
use paquebot_types::{AccountId, BlobHash, BlobId, Flags, MailboxId, ShardId};

/// The one account of each shard.
pub const ACCOUNT: AccountId = AccountId::MIN;

/// A mailbox as a client would see it.
#[derive(Debug, Default)]
pub struct Shown {
    pub uid_next: u32,
    pub modseq: u64,
    pub messages: BTreeMap<u32, (BlobHash, Flags)>,
}

/// All of a shard's mailboxes, and every body that it should have.
#[derive(Debug, Default)]
pub struct View {
    pub mailboxes: BTreeMap<MailboxId, Shown>,
    pub bodies: Vec<Wanted>,
}

impl View {
    pub fn of(txn: &ReadTxn, shard: ShardId) -> Self {
        let mut view = Self::default();
        let mut blobs: BTreeMap<BlobId, BlobHash> = BTreeMap::new();
        let mut pages = Vec::new();
        let (from, to) = key::account_rows(ACCOUNT);
        let mut see = |key: &[u8], value: &[u8]| {
            match key::parse_account_row(key).map(|(_, row)| row) {
                Some(AccountRow::Blob(blob)) => drop(blobs.insert(blob, Blob::decode(value).unwrap().hash)),
                Some(AccountRow::Mailbox(id)) => {
                    let row = Mailbox::decode(value).unwrap();
                    let shown = view.mailboxes.entry(id).or_default();
                    (shown.uid_next, shown.modseq) = (row.uid_next.unwrap().get(), row.highest_modseq.0);
                }
                Some(AccountRow::Page(id, _)) => pages.push((id, Page::decode(value).unwrap())),
                _ => {}
            }
            Scan::Continue
        };
        txn.rows(shard).scan(&from, &to, &mut see).unwrap();
        for (id, page) in pages {
            let shown = view.mailboxes.entry(id).or_default();
            for message in page.messages {
                shown.messages.insert(message.uid.get(), (blobs[&message.blob], message.flags));
            }
        }
        view.bodies = blobs.into_iter().map(|(blob, hash)| Wanted { shard, account: ACCOUNT, blob, hash }).collect();
        view
    }
}
