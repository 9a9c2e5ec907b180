//! Foreign mailboxes behind the service: a session cannot tell, beyond what the format cannot hold.
//!
//! A driver's messages become the same pages that native ones are, so views, searches and updates are the session's own. What a format does not keep,
//! mod-sequences first of all, lies in the [side index](index). Everything here blocks, as drivers do, and is called where the runtime lets it
//! ([`blocking`]).

mod across;
mod body;
mod change;
mod index;
mod namespace;
mod open;
mod summary;
mod user;
mod watch;

use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use paquebot_types::{AccountId, BlobId, MailboxId, ShardId, Uid};
use parking_lot::Mutex;

pub(crate) use across::Originals;
pub use body::MessageBody;
pub(crate) use change::Removed;
pub use namespace::Namespace;
pub(crate) use open::ForeignMailbox;
pub(crate) use user::User;

use crate::live::Live;
use index::SideIndex;
use watch::Watcher;

/// Mailboxes of all users that stay open after their last session has left them.
const KEPT: usize = 64;

/// The bit that native mailboxes, which are counted from 1 in each account, never reach.
const FOREIGN_MAILBOX: u32 = 1 << 31;
/// The same for bodies.
const FOREIGN_BLOB: u64 = 1 << 63;

/// Whether a mailbox is a driver's.
pub(crate) fn is_foreign(mailbox: MailboxId) -> bool {
    mailbox.get() & FOREIGN_MAILBOX != 0
}

/// The body of a foreign message: its mailbox and UID.
fn blob_of(mailbox: MailboxId, uid: Uid) -> BlobId {
    let number = u64::from(mailbox.get() & !FOREIGN_MAILBOX) << 32 | u64::from(uid.get());
    BlobId::new(FOREIGN_BLOB | number).unwrap_or(BlobId::MAX)
}

/// The bodies of a foreign mailbox.
fn blobs_of(mailbox: MailboxId) -> RangeInclusive<BlobId> {
    blob_of(mailbox, Uid::MIN)..=blob_of(mailbox, Uid::MAX)
}

/// The mailbox and UID of a foreign body; `None` for a native one.
pub(crate) fn parse_blob(blob: BlobId) -> Option<(MailboxId, Uid)> {
    let number = blob.get();
    if number & FOREIGN_BLOB == 0 {
        return None;
    }
    let mailbox = (number >> 32) as u32 | FOREIGN_MAILBOX;
    Some((MailboxId::new(mailbox)?, Uid::new(number as u32)?))
}

/// Does what may wait for a disk or for another program's lock, without holding up other sessions of this thread.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// The foreign mailboxes that this server serves.
pub(crate) struct Foreign {
    namespaces: Vec<Namespace>,
    common: Arc<Common>,
    users: Mutex<HashMap<(ShardId, AccountId), Arc<User>>>,
}

/// What all users' foreign mailboxes have in common.
struct Common {
    index: SideIndex,
    watcher: Arc<Watcher>,
    /// Open mailboxes that nobody may use any more, so that the next SELECT finds them; the last first.
    kept: Mutex<VecDeque<Arc<Live>>>,
}

impl Foreign {
    /// `None` where there are no namespaces. The side index is made at `index`; without it, or where it cannot be used, in memory.
    pub fn new(mut namespaces: Vec<Namespace>, index: Option<&Path>) -> Option<Self> {
        if namespaces.is_empty() {
            return None;
        }
        let index = SideIndex::open(index).or_else(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "clients will ask for all flags after a restart");
            SideIndex::open(None)
        });
        let index = index.inspect_err(|error| tracing::error!(%error, "foreign mailboxes are not served")).ok()?;
        // The longest prefix that a name begins with is the name's.
        namespaces.sort_by_key(|namespace| std::cmp::Reverse(namespace.prefix.len()));
        let watcher = Watcher::start();
        let common = Arc::new(Common { index, watcher, kept: Mutex::default() });
        Some(Self { namespaces, common, users: Mutex::default() })
    }

    pub fn namespaces(&self) -> &[Namespace] {
        &self.namespaces
    }

    /// An account's foreign mailboxes.
    pub fn user(&self, shard: ShardId, account: AccountId, name: &str) -> Arc<User> {
        let mut users = self.users.lock();
        let user = users
            .entry((shard, account))
            .or_insert_with(|| Arc::new(User::new(self.common.clone(), shard, account, name, &self.namespaces)));
        Arc::clone(user)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // They have the common part, which has them.
        let kept = std::mem::take(&mut *self.common.kept.lock());
        drop(kept);
    }
}

impl Common {
    /// Keeps a mailbox open for a while after its last session has left it.
    fn keep(&self, live: &Arc<Live>) {
        let mut kept = self.kept.lock();
        kept.push_front(live.clone());
        let let_go = if kept.len() > KEPT { kept.pop_back() } else { None };
        drop(kept);
        drop(let_go);
    }

    /// Lets a mailbox go that is not to be kept any more.
    fn let_go(&self, live: &Arc<Live>) {
        self.kept.lock().retain(|kept| !Arc::ptr_eq(kept, live));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_its_mailbox_and_uid() {
        for (mailbox, uid) in [(1 << 31, 1), (u32::MAX, u32::MAX), (FOREIGN_MAILBOX | 77, 5)] {
            let (mailbox, uid) = (MailboxId::new(mailbox).unwrap(), Uid::new(uid).unwrap());
            let blob = blob_of(mailbox, uid);
            assert!(is_foreign(mailbox) && blobs_of(mailbox).contains(&blob));
            assert_eq!(parse_blob(blob), Some((mailbox, uid)));
        }
        assert_eq!(parse_blob(BlobId::new(77).unwrap()), None);
        assert!(!is_foreign(MailboxId::MIN));
    }
}
